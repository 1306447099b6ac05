"""web.py PORT FILE: writes each POST to FILE as a line of JSON and answers 200, or what stands in the path: /410 answers 410."""
import base64
import http.server
import json
import re
import sys


class Keep(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        line = {"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": base64.b64encode(body).decode()}
        with open(sys.argv[2], "a") as file:
            file.write(json.dumps(line) + "\n")
        status = re.match(r"/(\d{3})", self.path)
        self.send_response(int(status[1]) if status else 200)
        answer = b'{"ok": true, "error": 0}'
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Keep).serve_forever()
