"""What there is to choose from, on stdout."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from brittle.attacks.foreign import LIBRARIES
from brittle.catalog import ATTACKS, FITTERS
from brittle.catalog.describe import chooser, facts, groups, options
from brittle.catalog.registry import Listed
from brittle.corruption import CORRUPTIONS
from brittle.data import DATA_SOURCES
from brittle.defend import DEFENCES
from brittle.models import MODELS
from brittle.models.architectures import ARCHITECTURES, IMAGENET_FORMS, trainable_parameters
from brittle.models.inputs import INPUTS
from brittle.studies import STUDIES
from brittle.studies.ways import PRESETS
from brittle.train import RECIPES


def print_attacks() -> None:
    """Which attack serves which norm; then all attacks in groups, each with what it does, its cost and its paper."""
    console = Console()
    head, *rows = chooser()
    table = Table(box=None, pad_edge=False)
    for at, column in enumerate(head):  # names are to be copied: no column is narrower than its longest and a comma
        table.add_column(column, min_width=1 + max(len(name) for row in rows for name in row[at].split(", ")))
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    for title, entries in groups().items():
        console.print(Text(f"\n{title}", style="bold"))
        table = _table("attack", "what it does")
        for entry in entries:
            table.add_row(Text(entry.name), Text.assemble(entry.summary, "\n", (facts(entry), "dim")))
        console.print(table)
    console.print(Text("\nAttacks of other libraries, where they are installed", style="bold"))
    console.print(Text(", ".join(f"{library.prefix}:NAME" for library in LIBRARIES)))


def print_attack(name: str) -> None:
    """One attack with its options; of a preset of ``brittle craft``, what it stands for."""
    if name in PRESETS:
        Console().print(Text(f"{name}: a preset of brittle craft for {PRESETS[name]}"), soft_wrap=True)
        name = PRESETS[name].partition(",")[0]
    entry: Listed = FITTERS[name] if name in FITTERS else ATTACKS.named(name)
    console = Console()
    console.print(Text(f"{entry.name}: {entry.summary}"))
    console.print(Text(facts(entry), style="dim"))
    table = _table("option", "what it may be", "default", "what it is")
    for row in options(entry):
        table.add_row(*map(Text, row))
    console.print(table)


def print_defences() -> None:
    """Each defence with what an attacker does about it, its paper and its options."""
    console = Console()
    for entry in DEFENCES.values():
        console.print(Text(f"{entry.name}: {entry.summary}"))
        console.print(Text(entry.facts, style="dim"))
        table = _table("option", "what it may be", "default", "what it is")
        for row in options(entry):
            table.add_row(*map(Text, row))
        console.print(table)


def print_models() -> None:
    """The forms of a model spec; then the architectures, with how many trainable parameters each has."""
    console = Console()
    table = _table("model", "what it is")
    for source in MODELS.values():
        if source.form not in ARCHITECTURES:
            table.add_row(Text(source.form), Text(source.summary))
    console.print(table)
    console.print(Text("\nArchitectures, each with --weights FILE", style="bold"))
    table = _table("model", "parameters", "images", "what it is")
    for one in ARCHITECTURES.values():
        images = f"{one.fit.channels} x {one.fit.height} x {one.fit.width}"
        table.add_row(one.name, f"{one.parameters:,}", images, Text(one.summary))
    console.print(table)
    console.print(Text("\nInputs, to train NAME@INPUT[+INPUT...] of convolutions on", style="bold"))
    table = _table("input", "what it is")
    for name, (what, _) in INPUTS.items():
        table.add_row(name, Text(what))
    console.print(table)
    console.print(Text("\nThe same families for ImageNet, as torchvision trains them", style="bold"))
    table = _table("model", "parameters")
    for name, build in IMAGENET_FORMS.items():
        table.add_row(name, f"{trainable_parameters(build):,}")
    console.print(table)


def print_data() -> None:
    """The forms of a data spec."""
    table = _table("data", "what it is")
    for source in DATA_SOURCES:
        table.add_row(Text(source.form), Text(source.summary))
    Console().print(table)


def print_recipes() -> None:
    """Each recipe with its options."""
    console = Console()
    for entry in RECIPES.values():
        console.print(Text(f"{entry.name}: {entry.summary}"))
        table = _table("option", "what it may be", "default", "what it is")
        for row in options(entry):
            table.add_row(*map(Text, row))
        console.print(table)


def print_corruptions() -> None:
    """Each corruption, by kind, with what its severities mean."""
    table = _table("corruption", "kind", "severities 1 to 5", "in")
    for one in CORRUPTIONS.values():
        amounts = " ".join(f"{amount:g}" for amount in one.amounts)
        table.add_row(*map(Text, (one.name, one.group, amounts, one.summary)))
    Console().print(table)


def print_studies() -> None:
    """The kinds of study, with the keys of their TOML files."""
    table = _table("study", "what it is")
    for entry in STUDIES.values():
        keys = ", ".join(name for name in entry.spec.model_fields if name != "study")
        table.add_row(Text(entry.name), Text.assemble(entry.summary, "\n", (keys, "dim")))
    Console().print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        copied = column in ("attack", "option", "model", "data", "study", "corruption")
        table.add_column(column, no_wrap=copied, justify="right" if column == "parameters" else "left")
    return table
