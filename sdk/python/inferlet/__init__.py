"""Programs that run at the server, next to the model.

from inferlet import Context

async def main(args):
    context = Context()
    context.fill_user("Say hello.")
    async for piece in context.generate(max_tokens=64):
        print(piece, end="", flush=True)
"""

from __future__ import annotations

from inferlet import http, kvs
from inferlet._host import InferletError
from inferlet.answer import Answer, Drafting
from inferlet.beam import BeamAnswer, beam_search
from inferlet.chat import Chat
from inferlet.context import (
    Context,
    ExportEntry,
    SnapshotEntry,
    list_exports,
    list_snapshots,
    release_export,
    remove_snapshot,
)
from inferlet.conversation import AnswerParser, ChatAnswer, Delta, Message, RenderedPrompt, ToolCall, render
from inferlet.draft import Draft, Drafter, PromptLookup
from inferlet.grammar import Grammar, Matcher
from inferlet.message import Subscription, broadcast, receive, receive_blob, send, send_blob, try_receive
from inferlet.model import Model, ModelInfo, Tokenizer, default_model, models
from inferlet.runtime import arguments, instance_id, program_file, server_version, set_return
from inferlet.sampler import Distribution, Filters, Sampler
from inferlet.schema import schema_of
from inferlet.stop import Stop
from inferlet.text_stream import TextStream
from inferlet.tools import Tool, ToolError, Tools

__all__ = [
    "Answer", "AnswerParser", "BeamAnswer", "Chat", "ChatAnswer", "Context", "Delta", "Distribution", "Draft",
    "Drafter", "Drafting", "ExportEntry", "Filters", "Grammar", "InferletError", "Matcher", "Message", "Model",
    "ModelInfo", "PromptLookup", "RenderedPrompt", "Sampler", "SnapshotEntry", "Stop", "Subscription", "TextStream",
    "Tokenizer", "Tool", "ToolCall", "ToolError", "Tools", "arguments", "beam_search", "broadcast", "default_model",
    "http", "instance_id", "kvs", "list_exports", "list_snapshots", "models", "program_file", "receive", "receive_blob",
    "release_export", "remove_snapshot", "render", "schema_of", "send", "send_blob", "server_version", "set_return",
    "try_receive",
]  # fmt: skip
