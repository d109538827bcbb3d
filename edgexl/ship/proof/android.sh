gradle=${GRADLE:-gradle}
need "$gradle" "install Gradle 8.9 or newer, or let GRADLE name it"
need adb "install Android's platform tools"
[ -n "${ANDROID_HOME:-}" ] || stop "let ANDROID_HOME name an SDK with an NDK, and run this again"
[ "$(adb get-state 2>/dev/null)" = device ] || stop "adb sees no device, or several: let ANDROID_SERIAL name one"
package={title}-android.tar.gz
tar xzf "$package" -C work
folder=work/{title}-android
bundle=$folder/{name}/src/main/assets/{file}
tool "$gradle" --quiet --version
tool adb --version
"$gradle" --quiet --project-dir "$folder" :{name}:assembleDebugAndroidTest
apk=$(find "$folder/{name}/build/outputs/apk/androidTest" -name '*.apk')
adb install -r -t "$apk"
adb shell am instrument -w -r {module}.test/{module}.Proof >work/said || true
adb uninstall {module}.test >/dev/null || true
sed -n 's/^INSTRUMENTATION_STATUS: vector=//p' work/said >work/answers
[ -s work/answers ] || cat work/said >&2
adb shell sh <system.sh | tr -d '\r' >work/system
