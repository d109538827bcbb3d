/* arguments.h: what a program is given, as it is on all systems: UTF-8, and bytes on the standard streams. */
#ifndef EXL_TOOLS_ARGUMENTS_H
#define EXL_TOOLS_ARGUMENTS_H

#if defined(_WIN32)
#include <stdlib.h>
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <shellapi.h>

/* The arguments in UTF-8, as they are elsewhere, and bytes as they are on the standard streams. As given where there is
 * no memory for that. */
static char **begin_command(int *count, char **arguments) {
    int wide_count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &wide_count);
    char **found = wide ? calloc((size_t)wide_count + 1, sizeof *found) : NULL;

    (void)_setmode(0, _O_BINARY), (void)_setmode(1, _O_BINARY), (void)_setmode(2, _O_BINARY);
    (void)SetConsoleOutputCP(CP_UTF8);
    for (int i = 0; found && i < wide_count; i++) {
        int bytes = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        found[i] = bytes > 0 ? malloc((size_t)bytes) : NULL;
        if (!found[i])
            return arguments;
        WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, found[i], bytes, NULL, NULL);
    }
    if (!found)
        return arguments;
    *count = wide_count;
    return found;
}
#else
static char **begin_command(int *count, char **arguments) { return (void)count, arguments; }
#endif

#endif
