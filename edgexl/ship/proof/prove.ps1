# Proves {title} for Windows: makes it work here, has it answer the {count} texts of {vectors}, and writes {result} beside
# this script. What it takes: {needs}
# Run `powershell -ExecutionPolicy Bypass -File prove.ps1`. Nothing is installed, and nothing is written but {result} and
# the folder `work`.
$ErrorActionPreference = "Stop"
Set-Location $PSScriptRoot
Remove-Item work, {result} -Recurse -Force -ErrorAction SilentlyContinue
New-Item work -ItemType Directory | Out-Null
$utf8 = New-Object Text.UTF8Encoding $false
$tools = @()

function Hash($path) { (Get-FileHash $path -Algorithm SHA256).Hash.ToLower() }
function Read-Lines($path) { , [string[]][IO.File]::ReadAllLines((Resolve-Path $path), $utf8) }
function Tool($call) {
    $ErrorActionPreference = "Continue" # java tells its version on standard error
    $script:tools += [string](& $call 2>&1 | Select-Object -First 1)
}
function Answer($program, $arguments) {
    Start-Process $program $arguments -NoNewWindow -Wait -RedirectStandardOutput work/answers
}

# ---- what is this platform's own: the package, its bundle, and what was answered

{steps}

# ---- what is brought back

$answered = Read-Lines work/answers
if ($answered.Count -eq 0) { Write-Error "it has answered nothing; what went wrong stands above" }
$key = "HKLM:\HARDWARE\DESCRIPTION\System\CentralProcessor\0"
$processor = (Get-ItemProperty $key -ErrorAction SilentlyContinue).ProcessorNameString
$system = @(
    "system=Windows", "release=$([Environment]::OSVersion.Version)", "machine=$env:PROCESSOR_ARCHITECTURE",
    "cores=$env:NUMBER_OF_PROCESSORS", "cpu=$processor"
)
$told = [ordered]@{
    proof = {format}; edgexl = "{edgexl}"; platform = "{platform}"
    package = Split-Path $package -Leaf; package_sha256 = Hash $package
    bundle_sha256 = Hash $bundle; date = (Get-Date).ToUniversalTime().ToString("yyyy-MM-dd", [Globalization.CultureInfo]::InvariantCulture)
    tools = $tools; system = $system; vectors = $answered
}
[IO.File]::WriteAllText("$PWD/{result}", (ConvertTo-Json $told), $utf8)
$recorded = Read-Lines {vectors}
$equal = 0
for ($place = 0; $place -lt $recorded.Count; $place++) {
    if ($place -lt $answered.Count -and $answered[$place] -ceq $recorded[$place]) { $equal++ }
}
Write-Output "$equal of {count} texts are answered as recorded, to the bit."
Write-Output "$PWD/{result} is written: bring it back for ``edgexl ship {file} --accept {result}``."
if ($equal -ne {count}) { exit 1 }
