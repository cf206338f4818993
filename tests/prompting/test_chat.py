"""Chat models as rewriters: a tiny random one, and a local server with OpenAI's interface."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from avsim import InputError
from avsim.prompting import rewrite
from avsim.prompting.chat import SYSTEM_PROMPT, first_line


@pytest.fixture
def server():
    """A server, its address, what it was sent, and what it answers."""
    sent: list[tuple[str, dict | None, str | None]] = []
    answers = {
        "/v1/models": (200, {"data": [{"id": "tiny"}]}),
        "/v1/chat/completions": (200, {"choices": [{"message": {"content": '\n"a ball falls"\nBye'}}]}),
    }

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body):
            sent.append((self.path, body, self.headers.get("Authorization")))
            code, answer = answers[self.path]
            self.send_response(code)
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/v1", sent, answers
    http.shutdown()
    http.server_close()


def test_a_server_rewrites_by_its_first_model_with_the_system_prompt(server, monkeypatch):
    url, sent, _ = server
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    assert rewrite("drop it", rewriter=f"openai:{url}") == "a ball falls"
    (_, _, key), (path, body, _) = sent
    assert path == "/v1/chat/completions" and body["model"] == "tiny" and key == "Bearer a-key"
    assert [message["content"] for message in body["messages"]] == [SYSTEM_PROMPT, "drop it"]


def test_the_model_and_the_system_prompt_can_be_chosen(server):
    url, sent, _ = server
    rewrite("drop it", rewriter=f"openai:{url}/#mine", system_prompt="Translate.")
    ((_, body, _),) = sent
    assert body["model"] == "mine" and body["messages"][0]["content"] == "Translate."


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((500, {}), "answers 500"),
        ((200, b"<html>"), "no usable answer"),
        ((200, {"choices": []}), "no chat completion"),
        ((200, {"choices": [{"message": {"content": None}}]}), "no chat completion"),
        ((200, []), "no chat completion"),
    ],
)
def test_a_server_without_a_usable_answer_is_one_line(server, answer, found):
    url, _, answers = server
    answers["/v1/chat/completions"] = answer
    with pytest.raises(InputError, match=found) as error:
        rewrite("drop it", rewriter=f"openai:{url}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rewriter", "found"),
    [
        ("openai:file:///etc/passwd", "expected an address"),
        ("openai:http://127.0.0.1:9", "no usable answer"),
        ("openai:", "expected rules"),
        ("magic", "expected rules"),
        ("transformers:/nowhere/at/all", "no language model"),
    ],
)
def test_a_rewriter_that_is_not_there_is_one_line(rewriter, found):
    with pytest.raises(InputError, match=found) as error:
        rewrite("drop it", rewriter=rewriter)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m['content'] }} {% endfor %}"])
def test_a_language_model_rewrites(template, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    words = {word: number for number, word in enumerate(["<unk>", "<end>", "ball", "bell", "falls", "drop"])}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(words), n_positions=512, n_embd=16, n_layer=1, n_head=2, eos_token_id=1, bos_token_id=1
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    answers = {rewrite("drop ball", rewriter=f"transformers:{tmp_path}") for _ in range(2)}
    (answer,) = answers  # the same each time
    assert set(answer.split()) <= set(words)


def test_an_answer_is_its_first_line_without_quotation_marks():
    assert first_line('\n  "a bell is struck"  \nmore') == "a bell is struck" and first_line("\n") == ""
