# `sh prove.sh` tries this Mac; `sh prove.sh 'platform=iOS,name=My iPhone'` a device or a simulator, as xcodebuild names it
need swift "install Xcode 15 or newer"
package={title}-apple.tar.gz
tar xzf "$package" -C work
folder=work/{title}-apple
bundle=$folder/Sources/{Class}/{file}
tool swift --version
sh system.sh >work/system
if [ $# = 0 ]; then
  swift test --package-path "$folder" >work/said || true
else
  tool xcodebuild -version
  echo "board=$1" >>work/system
  (cd "$folder" && xcodebuild test -scheme {Class} -destination "$1" -parallel-testing-enabled NO) >work/said || true
fi
sed -n 's/^vector=//p' work/said >work/answers
[ -s work/answers ] || cat work/said >&2
