"""Stands in for Lambda's bootstrap: imports a handler, calls it once, prints the status."""

import importlib
import json
import os
import sys

module, name = sys.argv[1].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)


class Context:
    function_name = "cold"
    aws_request_id = "cold"

    def get_remaining_time_in_millis(self):
        return 29000


answer = handler(json.loads(sys.argv[2]), Context())
print(f"answered {answer['statusCode']}", flush=True)
os._exit(0)  # Lambda does not wait for the interpreter to shut down
