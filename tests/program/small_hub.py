"""A hub of models on this machine, some of whose files are served badly, by name:
   small_hub.py FOLDER LOG PORT_FILE
LOG gets "GET <file> <first byte asked for>" for each request."""
import hashlib
import http.server
import os
import sys

folder, log, port_file = sys.argv[1:]
broken = set()  # served badly once already


class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body):
        path = os.path.join(folder, self.path.split('?')[0].lstrip('/'))
        name = os.path.basename(path)
        if not os.path.isfile(path):
            return self.send_error(404)
        if name == 'renamed.safetensors' and '?' not in self.path:
            return self.redirect(self.path + '?moved')
        data = open(path, 'rb').read()
        large = name.endswith('.safetensors')
        if large and not self.path.startswith('/cdn') and not body:
            self.send_response(200)
            self.send_header('X-Linked-Size', str(len(data)))
            digest = hashlib.sha256(data).hexdigest()
            if name == 'wrong.safetensors':
                digest = hashlib.sha256(b'other').hexdigest()
            if name == 'upper.safetensors':
                digest = digest.upper()
            self.send_header('ETag', '"a-mark-of-the-server"')
            if name != 'nosum.safetensors':
                self.send_header('X-Linked-ETag', '"%s"' % digest)
            self.send_header('Content-Length', str(len(data)))
            return self.end_headers()
        if body and name == 'busy.safetensors' and name not in broken:
            broken.add(name)
            return self.send_error(503)
        first = 0
        asked = self.headers.get('Range')
        if asked and name != 'norange.safetensors':
            first = int(asked.split('=')[1].split('-')[0])
        if body:
            with open(log, 'a') as out:
                out.write('GET %s %d\n' % (name, first))
        self.send_response(206 if asked and name != 'norange.safetensors' else 200)
        if asked and name != 'norange.safetensors':
            self.send_header('Content-Range', 'bytes %d-%d/%d' % (first, len(data) - 1, len(data)))
        self.send_header('ETag', 'W/"%s"' % hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest())
        rest = data[first:]
        if name == 'short.safetensors':
            rest = data[first:199000]
        self.send_header('Content-Length', str(len(rest)))
        self.end_headers()
        if not body:
            return
        if 'breaks' in name and name not in broken:
            broken.add(name)
            rest = rest[:100000]
        self.wfile.write(rest)

    def redirect(self, place):
        self.send_response(307)
        self.send_header('Location', place)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
with open(port_file + '.new', 'w') as out:
    out.write(str(server.server_address[1]))
os.rename(port_file + '.new', port_file)
server.serve_forever()
