"""What an answer rests on: the citations and sources in a provider's own object. One module a
provider, which is called as in `app.formats`.

Pure functions over JSON values. Whatever these are, nothing raises: a citation that leads nowhere
says why. The work is linear in the size of the message, and no more than `MAX_CITATIONS` and
`MAX_OFFERED` sources are looked at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from app.grounding import (
    adk_event,
    anthropic_messages,
    bedrock_converse,
    bedrock_knowledge_bases,
    chainlit_step,
    cohere_chat,
    copilot_citations,
    gemini_content,
    gemini_interactions,
    langchain_message,
    llamaindex_response,
    mistral_chat,
    openai_chat,
    openai_responses,
    perplexity_chat,
    plain,
    references,
    strands_message,
    vercel_uimessage,
)
from app.grounding.model import MAX_LISTED, Citation, Found, Source
from app.grounding.texts import Text

Reader = Callable[[Any, Any], Found]
"""Takes the provider's object and its request, which is None if the message does not hold it."""

READERS: Mapping[str, Reader] = {
    "openai.chat": openai_chat.read,
    "openai.responses": openai_responses.read,
    "anthropic.messages": anthropic_messages.read,
    "gemini.generateContent": gemini_content.read,
    "gemini.interactions": gemini_interactions.read,
    "bedrock.converse": bedrock_converse.read,
    "bedrock.retrieveAndGenerate": bedrock_knowledge_bases.read,
    "cohere.v2.chat": cohere_chat.read,
    "mistral.chat": mistral_chat.read,
    "perplexity.chat": perplexity_chat.read,
    "vercel.uimessage": vercel_uimessage.read,
    "langchain.message": langchain_message.read,
    "langchain.aimessage": langchain_message.read,
    "llamaindex.response": llamaindex_response.read,
    "adk.event": adk_event.read,
    "strands.message": strands_message.read,
    "chainlit.step": chainlit_step.read,
    "copilot.citations": copilot_citations.read,
}

MAX_CITATIONS = 10_000
"""Citations of one message that are looked at. Two bytes of JSON can make one."""

MAX_OFFERED = MAX_LISTED - 1
"""Sources that the model was given which are looked at."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Of one message. `member` is the member of the message into which pointers lead, except for
    those of `references`. `offered` are sources that the model was given, whether or not it cites
    them. `more` is true if there are more than are looked at."""

    member: str
    text: Text
    citations: Sequence[Citation] = ()
    references: Sequence[Citation] = ()
    offered: Sequence[Source] = ()
    more: bool = False

    def each(self) -> Iterator[tuple[str, Citation]]:
        """All citations, with the members of the message into which their pointers lead."""
        yield from ((self.member, citation) for citation in self.citations)
        yield from (("metadata", citation) for citation in self.references)


def read(
    format: str | None,
    native: Any = None,
    content: Any = None,
    metadata: Mapping[str, Any] | None = None,
    request: Any = None,
) -> Grounding:
    """
    >>> said = {"role": "assistant", "content": "Closed[1].", "citations": ["https://a.example"]}
    >>> [(c.anchor, c.source.key) for c in read("perplexity.chat", said).citations]
    [('marker', 'url:https://a.example')]
    """
    reader = READERS.get(format or "")
    if reader and native is not None:
        where, found = "native", reader(native, request)
    else:
        where, found = "content", plain.read(content, request)
    citations = list(islice(found.citations, MAX_CITATIONS + 1))
    offered = list(islice(found.offered, MAX_LISTED))
    listed: list[Citation] = []
    if metadata and "references" in metadata:
        listed = list(islice(references.read(metadata), MAX_CITATIONS + 1))
        if named := references.by_address(metadata):
            citations = [_renamed(citation, named) for citation in citations]
            offered = [_by_name(source, named) for source in offered]
    more = max(len(citations), len(listed)) > MAX_CITATIONS or len(offered) > MAX_OFFERED
    return Grounding(
        where,
        found.text,
        citations[:MAX_CITATIONS],
        listed[:MAX_CITATIONS],
        offered[:MAX_OFFERED],
        more,
    )


def _renamed(citation: Citation, named: Mapping[str, Source]) -> Citation:
    """The client's own id of a source wins over its address."""
    if citation.source.key not in named:
        return citation
    return citation._replace(source=_by_name(citation.source, named))


def _by_name(source: Source, named: Mapping[str, Source]) -> Source:
    ours = named.get(source.key or "")
    if not ours:
        return source
    return source._replace(key=ours.key, kind=ours.kind, identity=ours.identity)
