"""Slack's markup as HTML: what mrkdwn knows becomes markup, nothing else does."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.web.slack_preview import mrkdwn, slack_blocks

ALLOWED = {"strong", "em", "s", "code", "pre", "a", "br", "blockquote", "span"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*ERROR* in _train_", "<strong>ERROR</strong> in <em>train</em>"),
        ("a *b", "a *b"),
        ("fit_model and 2*3*4", "fit_model and 2*3*4"),
        ("`*not bold*`", "<code>*not bold*</code>"),
        ("```a\n<b>```", "<pre>a\n&lt;b&gt;</pre>"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2"),
        ("one\ntwo", "one<br>two"),
        ("~gone~", "<s>gone</s>"),
        ("&gt; said\nmore", "<blockquote>said</blockquote>more"),
        (
            "*<https://x.test/a?b=1&amp;c=2|Full log>*",
            '<strong><a href="https://x.test/a?b=1&amp;c=2" rel="noreferrer">Full log</a></strong>',
        ),
        ("<@U123|kim>", '<span class="mention">@kim</span>'),
        ("<!channel>", '<span class="mention">@channel</span>'),
        ("<javascript:alert(1)|click>", "click"),
    ],
)
def test_mrkdwn_reads_as_slack_shows_it(text, html):
    assert str(mrkdwn(text)) == html


@given(st.text(alphabet=st.sampled_from("*_~`<>|&;\n @#!:/\ue000\ue0010123ab\"'=") | st.characters(), max_size=200))
def test_no_text_becomes_other_markup_or_a_link_that_is_none(text):
    tags = Tags()
    tags.feed(str(mrkdwn(text)))

    for tag, attributes in tags.seen:
        assert tag in ALLOWED
        assert set(attributes) <= {"href", "rel", "class"}
        assert (attributes.get("href") or "https:").startswith(("http://", "https://", "mailto:", "https:"))


def test_every_kind_of_block_of_ours_is_drawn():
    payload = {
        "text": "fallback",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "<b>not bold"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*x*"}, "fields": [{"type": "mrkdwn", "text": "f"}]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "c"}]},
            {"type": "divider"},
            {"type": "actions", "elements": [{"text": {"type": "plain_text", "text": "Go"}, "url": "javascript:x"}]},
            {"type": "video"},
        ],
    }

    drawn = [(block.kind, [str(html) for html in block.html]) for block in slack_blocks(payload)]

    assert drawn == [
        ("header", ["&lt;b&gt;not bold"]),
        ("section", ["<strong>x</strong>", "f"]),
        ("context", ["c"]),
        ("divider", []),
        ("actions", ['<span class="button">Go</span>']),
        ("other", ["[video block]"]),
    ]


def test_a_message_without_blocks_shows_its_text():
    (block,) = slack_blocks({"text": "*only* text"})

    assert str(block.html[0]) == "<strong>only</strong> text"
