"""The README and the documentation: their commands run or at least parse, their links and their figures are correct."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import edge_crnn
from docs.tools import schemas
from docs.tools.commands import reference
from docs.tools.pages import repository_path, site_path
from docs.tools.text import cell, code
from edge_crnn.binomial import lower_bound
from edge_crnn.cli.commands import COMMANDS, find_command
from edge_crnn.cli.main import main
from edge_crnn.dataset import LabelRules
from edge_crnn.reader import DEFAULT_MODEL
from edge_crnn.records.record import SUITES
from tests.pages import anchors, code_lines, command_lines, commands_in_text, links, python_blocks, words

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SAMPLES = ("J23dk4123", "Z937fj1253", "L47tk8410")
"""The images of samples/plates in the folder in which commands run: a few, so that they are quick."""

OTHER_PROGRAMS = {"--board", "--calls", "--model-repository", "--presets", "--purge", "--wheels"}
OTHER_PROGRAMS |= {"--system-site-packages", "--venv"}
"""Options of the installers, of benchmarks, of Triton and of Python's venv."""

PAGES = [
    ROOT / "README.md",
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")),
    *sorted(DOCS.glob("*.md")),
    *(
        ROOT / folder / "README.md"
        for folder in ("benchmarks", "examples", "jetson", "models", "raspberry-pi", "samples", "tests")
    ),
    *sorted((ROOT / "examples").glob("[a-z]*.md")),
    *sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.md")),
]
LINES = [(page, line) for page in PAGES for line in command_lines(page.read_text(encoding="utf-8"))]
PARSED = [pytest.param(line, id=f"{page.relative_to(ROOT)}: {line[:60]}") for page, line in LINES]
RUNNABLE = re.compile(r"(read(?!-)|info|doctor|completion)\b(?!.*(--engine|--preprocess|--server))")
"""Commands that need no GPU, no server, no file of the user's own code, and no minutes."""
RUN = sorted(
    {shlex.join(words(line)) for page, line in LINES if page.parent.name != "examples" and RUNNABLE.match(line)}
)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", PARSED)
def test_command_lines_parse_without_former_names(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *rest = words(line)
    try:
        command = find_command(name)
    except ImportError as error:
        pytest.skip(f"{error.name} is not installed")
    assert command is not None, f"no command {name}"
    try:
        command.parser(name).parse_args(rest)
    except SystemExit as ended:
        if ended.code != 0:  # as --help does
            pytest.fail(capsys.readouterr().err)
    assert " is now " not in capsys.readouterr().err


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few samples and the files that the pages name, in which the commands of the pages run."""
    for folder in ("samples/plates", "photos"):
        (tmp_path / folder).mkdir(parents=True)
        for name in SAMPLES:
            shutil.copy(ROOT / f"samples/plates/{name}.jpg", tmp_path / folder)
    shutil.copy(ROOT / f"samples/plates/{SAMPLES[0]}.jpg", tmp_path / "plate.jpg")
    for name in ("mine.tflite", "plates.tflite"):
        shutil.copy(DEFAULT_MODEL, tmp_path / name)
    for suffix in (".keras", ".keras.json"):
        shutil.copy(ROOT / f"models/plates{suffix}", tmp_path / f"mine{suffix}")
    (tmp_path / "residents.txt").write_text("대구 23 아 4123\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", RUN)
def test_commands_run(line: str, newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(line)) == 0
    assert capsys.readouterr().out


def test_the_readme_shows_what_is_read(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = text("README.md")
    assert main(["read", "samples/plates/J23dk4123.jpg"]) == 0
    assert f"`{capsys.readouterr().out.strip()}`" in readme
    exec(compile(python_blocks(readme)[0], "README.md", "exec"), {})
    assert f"# {capsys.readouterr().out}" in readme


@pytest.mark.thorough
def test_the_default_model_rejects_as_many_samples_as_the_pages_say() -> None:
    images = sorted((ROOT / "samples/plates").iterdir())
    with edge_crnn.open_reader() as reader:
        readings = reader.read_batch(images)
    rejected = [
        reading.label == path.stem for path, reading in zip(images, readings, strict=True) if not reading.accepted
    ]
    wrong = sum(reading.label != path.stem for path, reading in zip(images, readings, strict=True))
    assert (len(rejected), sum(rejected), wrong) == (21, 18, 3)
    assert "rejects 21: the 3 that it misreads, and 18 that are correct" in text("README.md")
    assert f"slimmed, reads {len(images) - wrong}." in text("samples/README.md")
    concepts = " ".join(text("docs/concepts.md").split())
    assert "marks 21 of the 500 samples as rejected: the 3 that it misreads and 18 that it reads correctly" in concepts


def test_the_quickstart_runs(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = python_blocks(text("docs/index.md"))
    exec(compile(block, "index.md", "exec"), {})
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "대구 23 아 4123"
    assert [line.split()[-1] for line in others] == ["True", "True"]


def test_the_lexicon_in_python_runs(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = python_blocks(text("docs/lexicon_and_grammar.md"))
    exec(compile(block, "lexicon_and_grammar.md", "exec"), {})
    assert capsys.readouterr().out == "대구 23 아 4123\n"


def test_calls_of_convert_fit_its_signature() -> None:
    calls = re.findall(r"edge_crnn\.convert\((.+)\)", "\n".join(page.read_text(encoding="utf-8") for page in PAGES))
    assert calls
    for call in calls:
        names = {"bind": inspect.signature(edge_crnn.convert).bind, "rules": LabelRules()}
        bound = eval(f"bind({call})", names)
        assert "conventions" not in bound.arguments, call


def test_commands_in_the_text_have_the_options_that_stand_with_them() -> None:
    commands = [(page, words(line)) for page in PAGES for line in commands_in_text(page.read_text(encoding="utf-8"))]
    assert {"doctor", "spec", "bench", "build-engine"} <= {name for _, (name, *_) in commands}
    for page, (name, *rest) in commands:
        if name == "--help":
            continue
        command = find_command(name)
        assert command is not None, f"{page}: no command {name}"
        options = command.parser(name)._option_string_actions
        assert {word for word in rest if word.startswith("-")} <= options.keys(), f"{page}: {name} {rest}"


def test_modules_that_the_pages_run_exist_and_have_the_options() -> None:
    """Hold `python -m MODULE` to the source, since importing a benchmark may take TensorFlow."""
    lines = [line for page in PAGES for line in code_lines(page.read_text(encoding="utf-8"))]
    calls = [re.search(r"python3? -m (benchmarks|converters|edge_crnn|bundle)\b(\S*)(.*)", line) for line in lines]
    assert len({call[2] for call in calls if call}) >= 12
    for call in filter(None, calls):
        module = ROOT / (call[1] + call[2]).replace(".", "/")
        files = [file for file in (module.with_suffix(".py"), module / "__main__.py") if file.exists()]
        assert files, call[0]
        source = "".join(file.read_text("utf-8") for file in files[0].parent.glob("*.py"))
        for option in re.findall(r"\s(-[a-z]|--[a-z][a-z-]*)", call[3].partition("#")[0]):
            assert f'"{option}"' in source, call[0]


def test_files_and_extras_in_the_commands_exist() -> None:
    extras = set(re.findall(r"^(\w[\w-]*) = \[", text("pyproject.toml").partition("optional-dependencies]")[2], re.M))
    folders = ("jetson", "raspberry-pi", "tests", "models", "edge_crnn")
    checked = []
    for page in PAGES:
        for line in code_lines(page.read_text(encoding="utf-8")):
            for extra in re.findall(r"pip install .*\[([a-z,-]+)\]", line):
                assert set(extra.split(",")) <= extras, f"{page}: {line}"
                checked.append(extra)
            for path in re.findall(rf"(?<![\w./-])(?:{'|'.join(folders)})/[\w./-]+", line.partition(" #")[0]):
                assert (ROOT / path).exists(), f"{page}: {line}"
                checked.append(path)
    assert {"litert,opencv", "jetson", "jetson/install.sh", "jetson/build_engine.sh", "raspberry-pi/Dockerfile"} <= {
        *checked
    }


def test_options_in_the_text_exist() -> None:
    commands = [find_command(name) for name in COMMANDS]
    options = {option for command in commands if command for option in command.parser("")._option_string_actions}
    for page in PAGES:
        for span in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
            assert {*re.findall(r"(?<!\S)--[a-z-]+", span)} <= options | OTHER_PROGRAMS, f"{page}: {span}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page.read_text(encoding="utf-8")):
        place = page.parent / target if target else page
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{target}#{anchor}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M))
    for page in PAGES:
        shown = re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M)
        assert set(shown) <= targets, page


def test_the_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) <= 120


def test_the_readme_shows_figures_of_the_benchmarks() -> None:
    rows = re.findall(r"^\| .* \| [\d.]+ \| [\d.]+ \| .*$", text("README.md"), re.M)
    engines = {re.findall(r"[\w-]+", row)[0] for row in rows}
    assert engines == {"ONNX", "edge-crnn", "ncnn", "OpenVINO", "PyTorch", "Keras"}
    assert set(rows) <= set(text("benchmarks/README.md").splitlines())


def test_the_python_api_is_complete() -> None:
    described = set(re.findall(r"^::: edge_crnn\.(\w+)$", text("docs/python_api.md"), re.M))
    others = {name for name in edge_crnn.__all__ if name.endswith(("Error", "Unavailable", "Spec", "__"))}
    assert described == {*edge_crnn.__all__} - others


def test_the_page_on_lambdas_lists_the_vocabulary() -> None:
    pytest.importorskip("h5py", reason="h5py comes with edge-crnn[convert]")
    from converters.trained.keras.lambdas import VOCABULARY

    listed = re.findall(r"^\| `([^`]+)` \|", text("docs/declare.md"), re.MULTILINE)
    assert [line.replace("…", "...") for line in listed] == list(VOCABULARY)


def test_the_architecture_shows_the_layers_of_the_import_contracts() -> None:
    page = text("docs/architecture.md")
    contracts = re.findall(r'containers = \["(\w+)"\].*?layers = \[\n(.*?)\]', text("pyproject.toml"), re.S)
    assert {name for name, _ in contracts} == {"converters", "edge_crnn"}
    for name, layers in contracts:
        lines = "".join(f"    {layer}\n" for layer in re.findall(r'"(.+)",', layers))
        assert f"`{name}`:\n\n{lines}\n" in page


def test_the_figures_of_the_gate() -> None:
    pytest.importorskip("h5py", reason="h5py comes with edge-crnn[convert]")
    from converters.verify.statistics import paired_change_interval

    def is_shown(lost: int, images: int) -> bool:
        low, high = paired_change_interval(lost, 0, images)
        return lower_bound(images - lost, images) >= 0.995 and low >= -0.003 and high <= 0.003

    page = text("docs/concepts.md")
    rows = re.findall(r"^\| (\d+) \| ([\d,]+) \|$", page, re.M)
    assert len(rows) == 4
    for lost, images in ((int(lost), int(images.replace(",", ""))) for lost, images in rows):
        assert is_shown(lost, images)
        assert not is_shown(lost, images - 1)
    assert f"lower bound is {lower_bound(1979, 1980):.2%}".replace("%", " %") in page.replace("\n", " ")
    assert f"±{100 * paired_change_interval(1, 1, 2000)[1]:.2f} points" in page
    assert f"agreement is {lower_bound(99, 99):.2%}".replace("%", " %") in page.replace("\n", " ")
    assert f"±{100 * paired_change_interval(0, 0, 100)[1]:.2f} points" in page


def test_the_reference_has_every_command_and_option() -> None:
    page = reference()
    for name in COMMANDS:
        assert f"\n## {name}\n" in page
    assert "<code>--min-confidence</code>" in page
    assert "<code>IMAGE&#124;DIR" in page


@pytest.mark.thorough
def test_the_reference_has_every_field() -> None:
    page = schemas.spec_fields() + schemas.record_fields()
    assert "| <code>reject_below</code> | number | " in page
    for suite in SUITES:
        assert f"\n### {suite}\n" in page
    assert all(json.loads(schema)["properties"]["version"] for schema in schemas.files().values())


def test_text_of_the_reference_is_escaped_outside_code() -> None:
    assert cell("a|b *c* `d * e` --page <x>") == r"a\|b \*c\* `d * e` `--page` &lt;x>"
    assert code("IMAGE|DIR") == "<code>IMAGE&#124;DIR</code>"


@pytest.mark.parametrize(
    ("page", "target", "path"),
    [
        ("convert.md", "../jetson/README.md", "jetson/README.md"),
        ("jetson.md", "../raspberry-pi/README.md", "raspberry-pi/README.md"),
        ("examples/captcha.md", "../docs/labels.md", "docs/labels.md"),
        ("index.md", "../samples", "samples/README.md"),
        ("index.md", "missing.md", None),
        ("index.md", "../../../etc/passwd", None),
    ],
)
def test_links_of_the_site_are_relative_to_the_file_in_the_repository(page: str, target: str, path: str | None) -> None:
    assert repository_path(page, target) == path


def test_files_of_the_repository_have_a_place_in_the_site() -> None:
    assert site_path("jetson/README.md") == "jetson.md"
    assert site_path("docs/labels.md") == "labels.md"
    assert site_path("edge_crnn/data/spec.schema.json") == "files/edge_crnn/data/spec.schema.json"


def test_the_image_is_rendered_and_small(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow comes with edge-crnn[train]")
    from docs.tools.readings import render
    from edge_crnn.training.fonts import find_fonts

    path = ROOT / "samples/plates/J23dk4123.jpg"
    assert render({path: edge_crnn.read(path)}, find_fonts()[0]).size == (920, 150)
    assert (DOCS / "images/readings.png").stat().st_size < 100_000


def test_the_workflow_calls_what_ci_runs() -> None:
    assert "- run: .ci/run\n" in text(".github/workflows/ci.yml")
