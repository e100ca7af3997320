"""``counterfoil explain``: everything that touched an order, a subscription or a user, as one timeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console import development
from console.options import As, AsJson, DataDir, PerhapsReason, need_reason, plain_words, refuse

if TYPE_CHECKING:
    from console.stories import Question

explain_app = typer.Typer(help="What became of it, from the request to the last effect.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="ID", callback=plain_words, help="Ours, or any that a gateway gave.")]
User = Annotated[
    str, typer.Argument(metavar="ID", callback=plain_words, help="The application's, an address, or a customer's.")
]
Lines = Annotated[int, typer.Option("--limit", min=1, max=5000, help="So many lines at most.")]
After = Annotated[str | None, typer.Option(metavar="MARK", help="The next page: after where one has ended.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="With addresses, links and payloads; takes a reason.")]

MOST_LINES = 500


@explain_app.command("order")
def explain_order(
    name: Name,
    limit: Lines = MOST_LINES,
    after: After = None,
    reveal: Reveal = False,  # noqa: FBT002
    reason: PerhapsReason = None,
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """An order, with the subscription that it began. ID may name its session, payment, refund or dispute."""
    _explain(_ask("order", name, limit, after, by, _why(reason, reveal=reveal)), data_dir, as_json=as_json)


@explain_app.command("subscription")
def explain_subscription(
    name: Name,
    limit: Lines = MOST_LINES,
    after: After = None,
    reveal: Reveal = False,  # noqa: FBT002
    reason: PerhapsReason = None,
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """A subscription, with the order that began it. ID may name an invoice, or one of its payments or refunds."""
    _explain(_ask("subscription", name, limit, after, by, _why(reason, reveal=reveal)), data_dir, as_json=as_json)


@explain_app.command("user")
def explain_user(
    name: User,
    limit: Lines = MOST_LINES,
    after: After = None,
    reveal: Reveal = False,  # noqa: FBT002
    reason: PerhapsReason = None,
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """A user: orders, subscriptions, what they may use now, and all of it in one timeline."""
    _explain(_ask("user", name, limit, after, by, _why(reason, reveal=reveal)), data_dir, as_json=as_json)


def _why(reason: str | None, *, reveal: bool) -> str | None:
    return need_reason(reason, unless="--reveal is left out") if reveal else None


def _ask(what: str, name: str, limit: int, after: str | None, by: str | None, because: str | None) -> Question:
    from console.actor import operator
    from console.stories import Question
    from payments.timeline import Mark, NoMark

    try:
        mark = Mark.read(after) if after is not None else None
    except NoMark as error:
        raise typer.BadParameter(str(error), param_hint="--after") from None
    return Question(what, name, limit, mark, operator(by), because)


def _explain(asked: Question, data_dir: Path, *, as_json: bool) -> None:
    from console import story_page
    from console.record import at_the_record
    from console.stories import Untold, tell

    try:
        story = at_the_record(data_dir, lambda pool: tell(pool, asked))
    except Untold as error:
        raise refuse(str(error)) from error
    if as_json:
        story_page.show_json(story, reveal=asked.because is not None)
    else:
        story_page.show(story, reveal=asked.because is not None)
    if story.page.next is not None:
        typer.echo(f"there is more: --after {story.page.next}", err=True)
