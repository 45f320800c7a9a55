"""A stand-in for a local model server such as Ollama: repeats what it is told, in the OpenAI API's shape."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = ("echo-large", "echo-small")


class Handler(BaseHTTPRequestHandler):
    """Answers GET /models and POST /chat/completions in the shape of the OpenAI API."""

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            self._answer({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        if not self.path.endswith("/chat/completions"):
            self.send_error(404)
            return
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = f"{asked['model']} heard: {asked['messages'][-1]['content']}"
        self._answer(
            {
                "model": asked["model"],
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}],
                "usage": {"prompt_tokens": 12, "completion_tokens": len(text.split())},
            }
        )

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 11434), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
