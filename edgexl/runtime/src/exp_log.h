/* exp_log.h: exp and log in double precision without a processor's or a C library's, so that every device gives the
 * same bits. exp is within (4 + |x|) 2e-16 of the true value, relatively, and log within 1e-15. */
#ifndef EXL_EXP_LOG_H
#define EXL_EXP_LOG_H

/* exp(x); 0 below -700, and as that of 700 above. */
double exl__exp(double x);
/* log of a number that is normal and more than 0. */
double exl__log(double x);

#endif
