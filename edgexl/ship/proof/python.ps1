$python = if ($env:PYTHON) { $env:PYTHON } else { "python" }
& $python -m venv work/venv
$python = if (Test-Path work/venv/Scripts) { "work/venv/Scripts/python" } else { "work/venv/bin/python" }
& $python -m pip download --quiet --no-index --no-deps --find-links . --dest work/wheel {name}=={version}
$package = "work/wheel/" + (Get-ChildItem work/wheel)[0].Name
& $python -m pip install --quiet --no-index --no-deps $package
$bundle = & $python -c "import {module}; print({module}.BUNDLE)"
Tool { & $python -VV }
Answer $python @("vectors.py", "{module}", "{vectors}")
