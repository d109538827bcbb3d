#!/bin/sh
# Proves {title} for {platform}: makes it work here, has it answer the {count} texts of {vectors}, and writes {result}
# beside this script. What it takes: {needs}
# Run `sh prove.sh`. Nothing is installed, and nothing is written but {result} and the folder `work`.
set -eu
cd "$(dirname "$0")"
rm -rf work {result}
mkdir work

{escape}
list() { escape | sed -e 's/.*/  "&"/' -e '$!s/$/,/'; }
hash() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi <"$1" | cut -d ' ' -f 1; }
stop() { echo "$1" >&2; exit 3; }
need() { command -v "$1" >/dev/null || stop "$1 is not here: $2, and run this again"; }
tool() { "$@" 2>&1 | sed -n '/./{p;q;}' >>work/tools; }

# ---- what is this platform's own: the package, its bundle, what this device is, and what was answered

{steps}

# ---- what is brought back

[ -s work/answers ] || stop "it has answered nothing; what went wrong stands above"
[ -f work/system ] || sh system.sh >work/system
tr -d '\r' <work/answers >work/answered
{
  printf '{"proof": {format}, "edgexl": "{edgexl}", "platform": "{platform}",\n'
  printf '"package": "%s", "package_sha256": "%s",\n' "$(basename "$package")" "$(hash "$package")"
  printf '"bundle_sha256": "%s", "date": "%s",\n' "$(hash "$bundle")" "$(date -u +%Y-%m-%d)"
  printf '"tools": [\n%s\n],\n"system": [\n%s\n],\n' "$(list <work/tools)" "$(list <work/system)"
  printf '"vectors": [\n%s\n]}\n' "$(list <work/answered)"
} >work/{result}
mv work/{result} {result}
equal=$(awk 'NR == FNR { said[NR] = $0; next } said[FNR] == $0 { equal++ } END { print equal + 0 }' \
  {vectors} work/answered)
echo "$equal of {count} texts are answered as recorded, to the bit."
echo "$PWD/{result} is written: bring it back for \`edgexl ship {file} --accept {result}\`."
[ "$equal" = {count} ]
