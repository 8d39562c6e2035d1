"""An OTLP receiver that speaks TLS and asks who is there: `tls_receiver.py CERTIFICATE KEY AUTHORITY`.

It prints its port, and of each request the path, the name in the sender's certificate and the number of bytes.
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        subject = dict(pair for part in self.connection.getpeercert()["subject"] for pair in part)
        print(f"{self.path} {subject['commonName']} {len(body)}", flush=True)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


certificate, key, authority = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.load_verify_locations(authority)
context.verify_mode = ssl.CERT_REQUIRED
server = HTTPServer(("127.0.0.1", 0), Receiver)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
