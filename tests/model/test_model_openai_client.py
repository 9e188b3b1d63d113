"""OpenAI's own Python client reads every shape of the scripted model's answers without complaint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.scripted_model import Model, eventually, prompt, serving

READ = {"name": "read_file", "args": {"path": "a.py", "deep": {"x": [1, "é\u2028"]}}}
WRITE = {"name": "write_file", "args": {"path": "b.py", "content": "1\n"}}
TURN = {
    "reasoning": ["Let me ", "think."],
    "text": ["Hello, ", "", "\u2028 \U0001f600"],
    "tools": [READ, WRITE],
}


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with serving() as running:
        yield running


@pytest.fixture
def client(model: Model) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{model.port}/v1", api_key="any", max_retries=0, timeout=20
    ) as made:
        yield made


def called(items: list[Any]) -> list[dict[str, Any]]:
    return [{"name": item.name, "args": json.loads(item.arguments)} for item in items]


def test_a_streamed_chat_completion(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="m",
        messages=[{"role": "user", "content": prompt([TURN])}],
        stream_options={"include_usage": True},
    ) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert message.content == "Hello, \u2028 \U0001f600"
    assert called([call.function for call in message.tool_calls or []]) == [READ, WRITE]
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None
    assert final.usage.total_tokens == final.usage.prompt_tokens + final.usage.completion_tokens
    said = [getattr(c.choices[0].delta, "reasoning_content", None) for c in chunks if c.choices]
    assert "".join(filter(None, said)) == "Let me think."


def test_a_chat_completion_in_one_piece(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt([TURN])}])
    message = answer.choices[0].message
    assert message.content == "Hello, \u2028 \U0001f600"
    assert called([call.function for call in message.tool_calls or []]) == [READ, WRITE]  # type: ignore[union-attr]


def test_a_streamed_response(client: openai.OpenAI) -> None:
    with client.responses.stream(model="m", input=prompt([TURN])) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == "Hello, \u2028 \U0001f600"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]
    assert final.output[0].summary[0].text == "Let me think."
    assert called(final.output[2:]) == [READ, WRITE]
    assert final.status == "completed"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == TURN["text"]
    summaries = [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"]
    assert summaries == TURN["reasoning"]
    arguments = [e for e in events if e.type == "response.function_call_arguments.delta"]
    assert len({event.item_id for event in arguments}) == 2
    assert len(arguments) > 2, "arguments come in pieces"


def test_the_snapshot_of_the_stream_is_the_response_in_one_piece(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="m", input=prompt([TURN]))
    with client.responses.stream(model="m", input=prompt([TURN])) as stream:
        streamed = stream.get_final_response()
    assert whole.output_text == streamed.output_text
    assert [item.type for item in whole.output] == [item.type for item in streamed.output]
    assert called(whole.output[2:]) == called(streamed.output[2:])
    assert whole.usage == streamed.usage


@pytest.mark.parametrize("streamed", [True, False])
def test_an_empty_answer_is_an_empty_message(client: openai.OpenAI, streamed: bool) -> None:
    if streamed:
        with client.responses.stream(model="m", input=prompt([{"text": []}])) as stream:
            final = stream.get_final_response()
    else:
        final = client.responses.create(model="m", input=prompt([{"text": []}]))
    assert final.output_text == ""
    assert [item.type for item in final.output] == ["message"]


def results(response: Any) -> list[dict[str, Any]]:
    """What an agent sends back for each call of a response."""
    calls = [item for item in response.output if item.type == "function_call"]
    return [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]


@pytest.mark.parametrize("how", ["items", "references", "previous"])
def test_the_turns_of_a_script_follow_one_another(client: openai.OpenAI, how: str) -> None:
    script = prompt([TURN, {"tools": [READ]}, {"text": ["The end."]}])
    asked: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": script}]}]
    first = client.responses.create(model="m", input=asked, instructions="Be brief.")
    said: list[Any] = []
    for _ in range(2):
        if how == "previous":
            answer = client.responses.create(
                model="m", input=results(first), previous_response_id=first.id, instructions="Be brief."
            )
        else:
            items = [item.model_dump(exclude_none=True) for item in first.output]
            if how == "references":
                items = [{"type": "item_reference", "id": item["id"]} for item in items]
            asked += [*items, *results(first)]
            answer = client.responses.create(model="m", input=asked)
        said.append([item.type for item in answer.output])
        first = answer
    assert said == [["function_call"], ["message"]]
    assert first.output_text == "The end."


def test_a_previous_response_that_is_not_known_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="m", input="x", previous_response_id="resp_nobody")


@pytest.mark.parametrize("given", [{}, {"input": []}, {"input": [1]}, {"input": 3}])
def test_a_bad_request_is_refused(client: openai.OpenAI, given: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="input"):
        client.post("/responses", body={"model": "m", **given}, cast_to=object)


def test_a_failure_in_the_stream_raises(client: openai.OpenAI) -> None:
    script = prompt([{"text": ["Half"], "error": {"message": "out of order", "in_stream": True}}])
    with (
        pytest.raises(openai.APIError, match="out of order"),
        client.responses.stream(model="m", input=script) as stream,
    ):
        list(stream)
    with (
        pytest.raises(openai.APIError, match="out of order"),
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": script}], stream=True
        ) as chunks,
    ):
        list(chunks)


def test_an_error_status_comes_as_often_as_the_script_says(client: openai.OpenAI) -> None:
    error = {"message": "slow down", "status": 429, "retry_after": 1, "times": 1}
    script = prompt([{"error": error, "text": ["Now."]}])
    with pytest.raises(openai.RateLimitError, match="slow down") as raised:
        client.responses.create(model="m", input=script)
    assert raised.value.response.headers["retry-after"] == "1"
    assert client.responses.create(model="m", input=script).output_text == "Now."


@pytest.mark.parametrize("cut", ["reset", "close"])
def test_a_cut_stream_has_no_completion_marker(client: openai.OpenAI, cut: str) -> None:
    script = prompt([{"text": ["Half ", "of it"], "cut": cut}])
    seen: list[str] = []
    try:
        for event in client.responses.create(model="m", input=script, stream=True):
            seen.append(event.type)
        ended = "clean"
    except openai.APIConnectionError:
        ended = "broken"
    except Exception as error:  # the client lets its transport's own error through
        ended = "broken" if "Read" in type(error).__name__ or "Protocol" in type(error).__name__ else "?"
    assert ended == ("broken" if cut == "reset" else "clean")
    assert seen.count("response.output_text.delta") == 2
    assert "response.completed" not in seen


def test_side_calls_are_answered_shortly(client: openai.OpenAI) -> None:
    title = client.responses.create(
        model="m", instructions="You are a title generator. You output only a title.", input=prompt([TURN])
    )
    assert title.output_text == "A scripted title"


def test_embeddings_and_models(client: openai.OpenAI) -> None:
    first, second = (client.embeddings.create(model="m", input=["a", "b"]).data for _ in range(2))
    assert [row.embedding for row in first] == [row.embedding for row in second]
    assert first[0].embedding != first[1].embedding
    assert [entry.id for entry in client.models.list()] == ["scripted"]
    assert client.models.retrieve("any/name").id == "any/name"


def test_the_journal_tells_that_a_response_was_cancelled(client: openai.OpenAI, model: Model) -> None:
    script = prompt([{"text": ["a", "b", "c"]}], pace_ms=60_000)
    with client.responses.create(model="m", input=script, stream=True) as stream:
        assert next(iter(stream)).type == "response.created"
    eventually(lambda: model.calls()[-1]["ended"] is not None)
    last = model.calls()[-1]
    assert (last["path"], last["state"]) == ("/v1/responses", "cancelled")
