"""The view as HTML: one file, no script, and a policy in it that lets a browser fetch nothing."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from ecgbatch.report.view import View
from ecgbatch.terms import ANY_VESSEL, DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE, Stratum

NOT_FOR = (
    "Not for acute chest pain, paced rhythm, age under 18, or comparing one patient's ECGs over "
    "time. Labels exist only for patients who were sent to coronary CT angiography."
)
LM_NOTE = (
    "LM is experimental: its disease is so rare that nearly every alert is false. It is left out "
    "of any vessel and of the worklist."
)


def render(view: View) -> str:
    """The page; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("ecgbatch.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        view=view,
        any_vessel=ANY_VESSEL,
        strata=tuple(reversed(Stratum)),
        demonstration=DEMONSTRATION_NOTICE,
        intended_use=INTENDED_USE_NOTICE,
        not_for=NOT_FOR,
        lm_note=LM_NOTE,
    )
