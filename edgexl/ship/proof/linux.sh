cc=${CC:-cc}
need "$cc" "install gcc, or let CC name a compiler"
[ "$(uname -m)" = {machine} ] || stop "this kit is for {machine}, not for $(uname -m)"
libc=
if ldd --version 2>&1 | grep -qi musl; then libc=-musl; fi
package={title}-{platform}$libc.tar.gz
tar xzf "$package" -C work
folder=work/{title}-{platform}$libc
bundle=$folder/share/{name}/{file}
tool "$cc" --version
"$cc" -O2 "-I$folder/include" vectors.c "$folder"/lib/libedgexl.so "-Wl,-rpath,$PWD/$folder/lib" -o work/vectors
work/vectors "$bundle" {vectors} >work/answers || true
