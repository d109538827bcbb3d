need node "install Node 18 or newer"
package={name}-{version}.tgz
tar xzf "$package" -C work
bundle=work/package/{file}
cp vectors.mjs work/vectors.mjs
tool node --version
node work/vectors.mjs {vectors} >work/answers || true
