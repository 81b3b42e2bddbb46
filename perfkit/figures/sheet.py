"""The style sheet of figures and tables, for the report and for JupyterLab alike.

Colours are variables that `style` fills; nothing here names one.
"""

from __future__ import annotations

from typing import Final

from perfkit.figures import style

__all__ = ["element", "sheet"]

_RULES: Final = """
.pk-figure,.pk-banner,.pk-table,.pk-facts{color:var(--pk-ink);font-size:14px;line-height:1.45}
.pk-figure{margin:0 0 28px}
.pk-figure p{margin:0;max-width:none}
.pk-finding{font-size:16px}
.pk-reading,.pk-note{color:var(--pk-muted);font-size:13px}
.pk-empty{border:1px dashed var(--pk-rule);border-radius:6px;padding:14px 16px;
 margin-top:8px!important;color:var(--pk-muted)}
.pk-chart{margin:6px 0 0;overflow-x:auto}
.pk-chart svg{display:block;width:100%;min-width:620px;height:auto}
.pk-data{margin-top:2px}
.pk-data>summary,.pk-more>summary{cursor:pointer;color:var(--pk-muted);font-size:13px}
.pk-scroll{overflow-x:auto;max-width:100%}
table.pk-table{border-collapse:collapse;margin:6px 0 4px;font-variant-numeric:tabular-nums}
.pk-table th,.pk-table td{padding:4px 12px 4px 0;border:0;border-bottom:1px solid var(--pk-grid);
 text-align:left;vertical-align:top;background:none;white-space:nowrap}
.pk-wrap td:last-child{white-space:normal;overflow-wrap:anywhere}
.pk-table th{font-weight:600;color:var(--pk-muted);font-size:13px;white-space:normal;
 vertical-align:bottom;
 border-bottom-color:var(--pk-rule)}
.pk-table .num{text-align:right}
.pk-table td.bad{color:var(--pk-bad);font-weight:600}
.pk-table td.unsure{color:var(--pk-unsure)}
.pk-table td.zero{color:var(--pk-muted)}
.pk-table td.good{color:var(--pk-good)}
.pk-table td.broken{color:var(--pk-broken);font-weight:600}
.pk-cells td{white-space:normal;min-width:150px}.pk-cells td small{font-weight:400}
.pk-table.pk-matrix tbody th{border-bottom-color:var(--pk-grid)}
.pk-matrix tbody th{color:var(--pk-ink);font-weight:400;white-space:nowrap;font-size:14px;
 vertical-align:top}
.pk-matrix thead th{font-weight:400}.pk-matrix thead th b{font-weight:600}
.pk-matrix th:first-child{position:sticky;left:0;background:var(--pk-paper)}
.pk-matrix small{color:var(--pk-muted);font-size:12px}
.pk-matrix td.bad small{color:inherit}
.pk-table tr.bad td{color:var(--pk-bad)}
.pk-table tr.bad td:first-child{font-weight:700}
.pk-table tr.broken td{color:var(--pk-broken)}
.pk-table tr.broken td:first-child{font-weight:700}
.pk-table tr.unsure td{color:var(--pk-unsure)}
.pk-table tr.zero td{color:var(--pk-muted)}
.pk-table tr.total td{font-weight:600}
.pk-banner{border:1px solid var(--pk-rule);border-left:8px solid var(--pk-status);border-radius:8px;
 background:var(--pk-raised);padding:14px 20px 12px;margin:0 0 18px}
.pk-banner p{margin:0}
.pk-status{display:inline-block;color:var(--pk-paper);background:var(--pk-status);font-weight:700;
 letter-spacing:.06em;border-radius:4px;padding:1px 10px;margin-right:10px;font-size:14px}
.pk-sentence{font-size:20px;font-weight:600;line-height:1.35;margin-top:8px!important}
.pk-lines{margin:10px 0 8px;padding-left:1.2em;font-size:15px}
.pk-lines li{margin:3px 0}
.pk-reasons,.pk-small{color:var(--pk-muted);font-size:13px}
.pk-PASS{--pk-status:var(--pk-good)}
.pk-FAIL{--pk-status:var(--pk-bad)}
.pk-INCONCLUSIVE{--pk-status:var(--pk-unsure)}
.pk-INVALID{--pk-status:var(--pk-broken)}
.pk-command{display:block;background:var(--pk-raised);border:1px solid var(--pk-rule);
 border-radius:6px;padding:10px 12px;font-size:13px;white-space:pre-wrap;overflow-wrap:anywhere}
"""


def sheet() -> str:
    """Rules, and variables for light, for dark, for JupyterLab's dark theme, and for print."""
    light, dark = style.css_variables(style.LIGHT), style.css_variables(style.DARK)
    return (
        f":root{{{light}}}\n"
        "@media (prefers-color-scheme:dark)"
        f"{{:root:not([data-pk=light]):not(:has([data-jp-theme-light=true])){{{dark}}}}}\n"
        f":root:has([data-jp-theme-light=false]),:root[data-pk=dark]{{{dark}}}\n"
        f"@media print{{:root:root:root{{{light}}}}}{_RULES}"
    )


def element() -> str:
    """The sheet as a ``<style>`` element; a notebook's first output carries it for all."""
    return f"<style>{sheet()}</style>"
