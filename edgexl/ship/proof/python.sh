python=${PYTHON:-python3}
need "$python" "install Python 3.9 or newer, or let PYTHON name one"
"$python" -m venv work/venv
python=work/venv/bin/python
"$python" -m pip download --quiet --no-index --no-deps --find-links . --dest work/wheel {name}=={version}
package=$(ls work/wheel/*.whl)
"$python" -m pip install --quiet --no-index --no-deps "$package"
bundle=$("$python" -c "import {module}; print({module}.BUNDLE)")
tool "$python" -VV
"$python" vectors.py {module} {vectors} >work/answers || true
