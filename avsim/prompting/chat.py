"""Rewriters that are chat models: a local one, or one behind an OpenAI-compatible server."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from avsim.errors import InputError, first_line_of

SYSTEM_PROMPT = """\
You rewrite prompts for a model that generates short videos with sound. Write one sentence in English in the
style of the captions that the model was trained on: every thing with its colour, material and place in the
picture, what it does, what is heard, and where it all happens. Keep every fact of the prompt, translate it if
it is in another language, add nothing that contradicts it. Answer with the caption alone."""
LENGTH = 160  # tokens of an answer
TIMEOUT = 60.0  # s
LARGEST = 1 << 20  # bytes of a server's answer


def first_line(answer: str) -> str:
    """A model's answer without what some put around it: line breaks and quotation marks."""
    lines = [line.strip().strip("\"'“”") for line in answer.splitlines()]
    return next((line for line in lines if line), "")


def rewritten_by_server(prompt: str, url: str, system_prompt: str = SYSTEM_PROMPT) -> str:
    """A prompt, rewritten by an OpenAI-compatible server.

    Args:
        prompt: what was written.
        url: of the API, such as "http://localhost:8000/v1"; "#name" behind it is the model, by default the
            first that the server lists. The key, if it needs one, is the environment's OPENAI_API_KEY.
        system_prompt: what the model is to do.

    Raises:
        InputError: no http(s) address, no answer, or one that is no chat completion.
    """
    base, _, model = url.partition("#")
    if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
        raise InputError(f"openai:{url}: expected an address such as openai:http://localhost:8000/v1")
    base = base.rstrip("/")
    try:
        model = model or _asked(f"{base}/models")["data"][0]["id"]
        messages = [{"role": "system", "content": system_prompt}, {"role": "user", "content": prompt}]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": LENGTH}
        answer = _asked(f"{base}/chat/completions", body)["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{base}: the answer is no chat completion (missing {error})") from error
    if not isinstance(answer, str):
        raise InputError(f"{base}: the answer is no chat completion (content {answer!r:.60})")
    return first_line(answer)


def _asked(address: str, body: dict[str, Any] | None = None) -> Any:
    """A server's JSON, by POST if there is a body."""
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(address, data, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.loads(response.read(LARGEST))
    except urllib.error.HTTPError as error:
        raise InputError(f"{address}: the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{address}: no usable answer ({reason})") from error


def rewritten_by_model(prompt: str, name: str, system_prompt: str = SYSTEM_PROMPT) -> str:
    """A prompt, rewritten by a causal language model of `transformers`, greedily; needs `avsim[pretrained]`.

    Args:
        prompt: what was written.
        name: a folder, or a name on the Hugging Face hub; safetensors only, no code of its own is run.
        system_prompt: what the model is to do; a model without a chat template reads it as plain text.

    Raises:
        InputError: `transformers` is not installed, or no usable language model at `name`.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError("rewriting by a model needs `pip install avsim[pretrained]`") from error
    import torch

    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(name)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as error:
        reason = first_line_of(error)
        raise InputError(f"transformers:{name}: no language model could be loaded ({reason})") from error
    if tokenizer.chat_template:
        messages = [{"role": "system", "content": system_prompt}, {"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    else:
        text = f"{system_prompt}\n\nPrompt: {prompt}\nCaption:"
    given = tokenizer(text, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
    with torch.inference_mode():
        tokens = model.generate(
            given.input_ids, attention_mask=given.attention_mask, max_new_tokens=LENGTH, do_sample=False
        )
    return first_line(tokenizer.decode(tokens[0, given.input_ids.shape[1] :], skip_special_tokens=True))
