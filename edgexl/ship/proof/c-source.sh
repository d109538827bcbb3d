cc=${CC:-cc}
need "$cc" "install a C compiler, or let CC name one"
package={title}-c-source.tar.gz
tar xzf "$package" -C work
folder=work/{title}-c-source
bundle=$folder/{file}
tool "$cc" --version
# shellcheck disable=SC2086 # CFLAGS are several
"$cc" -O3 ${CFLAGS:-} "-I$folder" vectors.c "$folder/edgexl.c" -o work/vectors -lm -ldl -lpthread
work/vectors "$bundle" {vectors} >work/answers || true
