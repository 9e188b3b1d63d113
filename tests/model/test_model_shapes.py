"""Every shape of the scripted model's answers, held against OpenAI's own types and read by OpenAI's own clients.

The clients build their values without looking whether they are right, so each event and object is validated as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types import Model as ListedModel
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.scripted_model import Answer, Model, chat_body, eventually, prompt, serving

READ = {"name": "read_file", "args": {"path": "a.py", "deep": {"x": [1, "é\u2028"]}}}
WRITE = {"name": "write_file", "args": {"path": "b.py", "content": "1\n"}}
NOTHING = {"name": "list_files", "args": {}}

# Turns that end in order.
TURNS: dict[str, dict[str, Any]] = {
    "text": {"text": ["Hello, ", "", "\u2028 \U0001f600"]},
    "reasoning alone": {"reasoning": ["Let me ", "think."]},
    "reasoning, then text": {"reasoning": ["Hm. "], "text": ["So."]},
    "one tool": {"tools": [READ]},
    "a tool without arguments": {"tools": [NOTHING]},
    "parallel tools": {"tools": [READ, WRITE, READ]},
    "everything": {"reasoning": ["r"], "text": ["t ", "u"], "tools": [WRITE, READ]},
    "nothing": {"text": []},
    "a fill": {"text": ["Much: ", {"fill": 40, "times": 3}]},
    "a stall": {"stall_ms": 20, "text": ["late"]},
}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with serving() as running:
        yield running


def said(turn: dict[str, Any], member: str) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    texts = [
        chunk
        if isinstance(chunk, str)
        else "".join(f"{i:08d} {alphabet * 2}"[: chunk["fill"]] for i in range(chunk["times"]))
        for chunk in turn.get(member, ())
    ]
    return "".join(texts)


def named(answer: Answer) -> list[tuple[str, Any]]:
    """The events of the Responses API: names and JSON, each in one block of two lines."""
    blocks = answer.body.decode().removesuffix("\n\n").split("\n\n")
    pairs = [block.split("\ndata: ") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data)) for name, data in pairs]


def calls_of(items: Any) -> list[dict[str, Any]]:
    return [{"name": item.name, "args": json.loads(item.arguments)} for item in items]


@pytest.mark.parametrize("name", TURNS)
def test_a_chat_completion_is_of_openai_s_types(model: Model, name: str) -> None:
    turn = TURNS[name]
    whole = ChatCompletion.model_validate(model.chat(prompt([turn]), stream=False).json)
    (choice,) = whole.choices
    assert (choice.message.content or "") == said(turn, "text")
    assert getattr(choice.message, "reasoning", "") == said(turn, "reasoning")
    assert getattr(choice.message, "reasoning_content", "") == said(turn, "reasoning")
    called = calls_of(call.function for call in choice.message.tool_calls or () if call.type == "function")
    assert called == turn.get("tools", [])
    assert choice.finish_reason == ("tool_calls" if called else "stop")

    answer = model.chat(prompt([turn]), stream_options={"include_usage": True})
    chunks = [ChatCompletionChunk.model_validate(chunk) for chunk in answer.chunks]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == [choice.finish_reason]
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


@pytest.mark.parametrize("name", TURNS)
def test_a_response_is_of_openai_s_types(model: Model, name: str) -> None:
    turn = TURNS[name]
    asked = {"model": "m", "input": prompt([turn])}
    whole = Response.model_validate(model.post("/v1/responses", asked).json)
    assert whole.status == "completed"
    assert whole.output_text == said(turn, "text")
    thoughts = [part.text for item in whole.output if item.type == "reasoning" for part in item.summary]
    assert "".join(thoughts) == said(turn, "reasoning")
    assert calls_of(item for item in whole.output if item.type == "function_call") == turn.get("tools", [])

    blocks = named(model.post("/v1/responses", asked | {"stream": True}))
    events = [EVENT.validate_python(data) for _, data in blocks]
    assert [name for name, _ in blocks] == [event.type for event in events], (
        "an event is named after its type"
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert [item.type for item in events[-1].response.output] == [item.type for item in whole.output]
    assert events[-1].response.usage == whole.usage
    # What is begun is ended, in the order of the output.
    for kind in ("output_item", "content_part", "reasoning_summary_part"):
        begun = [e for e in events if e.type == f"response.{kind}.added"]
        ended = [e for e in events if e.type == f"response.{kind}.done"]
        assert [e.output_index for e in begun] == [e.output_index for e in ended]
    pieces: dict[str, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            pieces[event.item_id] = pieces.get(event.item_id, "") + event.delta
    assert [json.loads(text) for text in pieces.values()] == [tool["args"] for tool in turn.get("tools", [])]


@pytest.mark.parametrize("name", TURNS)
def test_openai_s_asynchronous_client_reads_it(model: Model, name: str) -> None:
    turn = TURNS[name]

    async def read() -> tuple[str, list[dict[str, Any]], str, list[dict[str, Any]]]:
        base = f"http://127.0.0.1:{model.port}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="any", max_retries=0, timeout=20) as client:
            async with client.responses.stream(model="m", input=prompt([turn])) as stream:
                response = await stream.get_final_response()
            messages: Any = [{"role": "user", "content": prompt([turn])}]
            async with client.chat.completions.stream(model="m", messages=messages) as chat:
                completion = await chat.get_final_completion()
        message = completion.choices[0].message
        return (
            response.output_text,
            calls_of(item for item in response.output if item.type == "function_call"),
            message.content or "",
            calls_of(call.function for call in message.tool_calls or ()),
        )

    text, tools = said(turn, "text"), turn.get("tools", [])
    assert asyncio.run(read()) == (text, tools, text, tools)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_failures_are_of_openai_s_types(model: Model, path: str) -> None:
    def ask(turn: dict[str, Any]) -> Any:
        body = {**chat_body(prompt([turn])), "input": prompt([turn])}
        return model.post(path, body)

    refused = ask({"error": {"message": "no", "status": 404}})
    assert refused.json["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": None,
        "code": "404",
    }
    broken = ask({"text": ["half"], "error": {"message": "fuse", "in_stream": True}})
    if path.endswith("responses"):
        kinds = [EVENT.validate_python(data).type for _, data in named(broken)]
        assert kinds[-2:] == ["error", "response.failed"]
    else:
        assert broken.chunks[-1]["error"]["message"] == "fuse"


def test_what_else_is_of_openai_s_types(model: Model) -> None:
    for asked in ({"input": "a"}, {"input": ["a", "b"], "dimensions": 5}, {"input": [[1, 2], [3]]}):
        CreateEmbeddingResponse.model_validate(model.post("/v1/embeddings", {"model": "e", **asked}).json)
    for listed in model.get("/v1/models").json["data"]:
        ListedModel.model_validate(listed)
    ListedModel.model_validate(model.get("/v1/models/gpt-5").json)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_client_that_tries_again_comes_through(model: Model, api: str) -> None:
    script = prompt(
        [{"error": {"message": "busy", "status": 429, "retry_after": 0, "times": 2}, "text": [f"{api}!"]}]
    )
    last = model.calls()[-1]["number"] if model.calls() else 0
    with openai.OpenAI(base_url=f"http://127.0.0.1:{model.port}/v1", api_key="any", max_retries=2) as client:
        if api == "chat":
            messages: Any = [{"role": "user", "content": script}]
            heard = client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        else:
            heard = client.responses.create(model="m", input=script).output_text
    assert heard == f"{api}!"
    eventually(lambda: all(call["ended"] for call in model.calls()))
    assert [call["state"] for call in model.calls() if call["number"] > last] == ["refused"] * 2 + [
        "finished"
    ]


@pytest.mark.parametrize(
    "begins", ["You are a title generator", "You are summarizing a long coding conversation"]
)
@pytest.mark.parametrize("role", ["system", "developer"])
def test_side_calls_are_known_by_either_api(model: Model, begins: str, role: str) -> None:
    """Their user message often holds the whole prompt, script and all."""
    messages: Any = [
        {"role": role, "content": f"{begins}. Be brief."},
        {"role": "user", "content": prompt([TURNS["everything"]])},
    ]
    with openai.OpenAI(base_url=f"http://127.0.0.1:{model.port}/v1", api_key="any", max_retries=0) as client:
        chat = client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        response = client.responses.create(model="m", input=messages).output_text
    assert chat == response
    assert chat in ("A scripted title", "A scripted summary.")


def test_a_token_that_is_required() -> None:
    with serving(token="right") as model:
        base = f"http://127.0.0.1:{model.port}/v1"
        with openai.OpenAI(base_url=base, api_key="wrong", max_retries=0) as client:
            for ask in (
                lambda: client.models.list(),
                lambda: client.responses.create(model="m", input="x"),
                lambda: client.embeddings.create(model="m", input="x"),
            ):
                with pytest.raises(openai.AuthenticationError, match="bearer token"):
                    ask()
        with openai.OpenAI(base_url=base, api_key="right", max_retries=0) as client:
            assert client.responses.create(model="m", input=prompt([{"text": ["in"]}])).output_text == "in"
