"""Vega, Vega-Lite and Vega-Embed as one script, kept in dvc_plots.html, so that no page asks the network for them.

dvc_plots.html is what DVC fills in for `dvc plots show` and `dvc plots diff` (plots.html_template in .dvc/config); the
report takes the script out of it. `python -m stages.reporting.vega` writes it again, with vl-convert-python.
"""

from pathlib import Path

from stages.core import paths

TEMPLATE = Path(__file__).with_name("dvc_plots.html")
FRAME = Path(__file__).with_name("dvc_plots_frame.html")  # the template without the script
VEGA_LITE = "6.4"  # the first line of Vega 6; what DVC writes for version 5 it draws with a warning in the console
OPEN, CLOSE = '<script id="vega">', "</script>"


def script() -> str:
    """The libraries with their licences; it sets window.vegaEmbed."""
    return TEMPLATE.read_text(encoding="utf-8").partition(OPEN)[2].partition(CLOSE)[0]


def make() -> str:
    """The template's text. In a function of its own the script's hundreds of names cannot meet those of the page."""
    import vl_convert  # a tool for those who change this project: nothing else here needs it

    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg] # its stubs lack the default
    assert CLOSE not in bundle
    return FRAME.read_text(encoding="utf-8").replace("/* bundle */", f"(() => {{\n{bundle}\n}})();")


if __name__ == "__main__":
    with paths.replacing(TEMPLATE) as partial:
        partial.write_text(make(), encoding="utf-8")
