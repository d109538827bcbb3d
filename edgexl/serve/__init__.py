"""A bundle behind HTTP: a JSON API with its OpenAPI document, and a playground in the browser.

The extra `serve` brings what it stands on, Starlette and uvicorn. `server.serve` is the whole of it: `endpoints.py` has
the paths, `requests.py` what they take, `service.py` what they do, `app.py` their HTTP, `guard.py` who may call, and
`page/` the files that a browser loads.
"""
