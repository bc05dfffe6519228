"""Vega, Vega-Lite and Vega-Embed as one script in dvc_plots.html, so that no page needs the network.

dvc_plots.html is DVC's template for `dvc plots show` and `dvc plots diff` (plots.html_template in .dvc/config); the report
uses its script. `python -m stages.reporting.vega` rebuilds it with vl-convert-python.
"""

from pathlib import Path

from stages.core import paths

TEMPLATE = Path(__file__).with_name("dvc_plots.html")
FRAME = Path(__file__).with_name("dvc_plots_frame.html")  # the template without the script
VEGA_LITE = "6.4"  # the first with Vega 6; DVC's charts for version 5 only cause a warning in the console
OPEN, CLOSE = '<script id="vega">', "</script>"


def script() -> str:
    """Return the libraries with their licences; the script sets window.vegaEmbed."""
    return TEMPLATE.read_text(encoding="utf-8").partition(OPEN)[2].partition(CLOSE)[0]


def make() -> str:
    """Build the template. The script is wrapped in a function to keep its names apart from the page's."""
    import vl_convert  # only for development

    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg] # the stubs lack the default
    assert CLOSE not in bundle
    return FRAME.read_text(encoding="utf-8").replace("/* bundle */", f"(() => {{\n{bundle}\n}})();")


if __name__ == "__main__":
    with paths.replacing(TEMPLATE) as partial:
        partial.write_text(make(), encoding="utf-8")
