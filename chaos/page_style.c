#include "chaos/page_style.h"

/* Of Okabe and Ito's palette, which colour-blind people can tell apart. */
#define LIGHT                                                                              \
    "--ink:#16202b;--soft:#5a6775;--rule:#d9dfe5;--paper:#fff;--panel:#f4f6f8;"            \
    "--east:#0072b2;--west:#d55e00;--good:#007a57;--warn:#e69f00;--bad:#c0152f;"           \
    "--busy:#8250c8;--calm:#8a96a3;--shade:#c0152f;"
#define DARK                                                                               \
    "--ink:#e6ebf0;--soft:#9aa7b4;--rule:#2c3641;--paper:#11171d;--panel:#1a222b;"         \
    "--east:#56b4e9;--west:#f08a3c;--good:#2fbf8f;--warn:#e6b422;--bad:#ff6b7d;"           \
    "--busy:#b594f0;--calm:#7d8a97;--shade:#ff6b7d;"

#define SPAN(name)                                                                         \
    "svg .s-" name "{fill:var(--" name ");fill-opacity:.28;stroke:var(--" name ")}\n"

const char page_style[] =
    ":root{" LIGHT "}\n"
    "@media (prefers-color-scheme:dark){:root{" DARK "}}\n"
    "@media print{:root{" LIGHT "}figure,tr,dl>div{break-inside:avoid}"
    "h2,figcaption{break-after:avoid}body{max-width:none;padding:0;font-size:12px}"
    "*{print-color-adjust:exact}}\n"
    "@page{size:landscape;margin:12mm}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:24px;max-width:1400px;background:var(--paper);"
    "color:var(--ink);font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:26px;margin:0;display:flex;gap:12px;align-items:center}\n"
    "h2{font-size:17px;margin:28px 0 10px}\n"
    ".badge{font-size:17px;font-weight:700;color:var(--paper);padding:3px 12px;"
    "border-radius:5px}\n"
    ".badge.ok{background:var(--good)}.badge.not{background:var(--bad)}\n"
    ".story{color:var(--soft);margin:6px 0 0;font-size:16px}\n"
    ".reasons{border-left:4px solid var(--bad);margin:14px 0 0;padding:4px 0 4px 28px;"
    "font-weight:600}\n"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:8px;"
    "margin:0}\n"
    "dl>div{background:var(--panel);border-radius:5px;padding:8px 12px}\n"
    "dt{color:var(--soft);font-size:12.5px;line-height:1.3}\n"
    "dd{margin:2px 0 0;font-weight:600;font-variant-numeric:tabular-nums}\n"
    "pre{background:var(--panel);border-radius:5px;padding:10px 12px;margin:4px 0 0;"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px}\n"
    "figure{margin:0 0 22px}figcaption{font-weight:600;margin:0 0 6px}\n"
    ".legend,section>p{color:var(--soft);font-size:13.5px;max-width:90ch;margin:12px 0 0}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px}\n"
    "th,td{text-align:left;vertical-align:top;padding:3px 10px 3px 0;"
    "border-bottom:1px solid var(--rule);overflow-wrap:anywhere}\n"
    "thead "
    "th{color:var(--soft);white-space:nowrap;position:sticky;top:0;background:var(--paper)}"
    "\n"
    "tbody th{font-weight:600;white-space:nowrap}\n"
    "td.n{font-variant-numeric:tabular-nums;white-space:nowrap;text-align:right;"
    "padding-right:16px}\n"
    "svg{width:100%;height:auto;display:block;font:11px system-ui,sans-serif}\n"
    "svg text{fill:var(--ink)}svg .lane{text-anchor:end;font-weight:600}\n"
    "svg .in,svg .band{paint-order:stroke;stroke:var(--paper);stroke-width:2.5px;"
    "stroke-opacity:.65}svg .band{text-anchor:middle;font-weight:600;fill:var(--bad)}\n"
    "svg .axis{text-anchor:middle;fill:var(--soft)}svg .scale{text-anchor:end;"
    "fill:var(--soft);font-size:9.5px}\n"
    "svg .grid,svg .rule,svg .base{stroke:var(--rule);fill:none}\n"
    "svg .base{stroke:var(--soft)}\n"
    "svg .outage{fill:var(--shade);fill-opacity:.12}\n"
    "svg rect{stroke-width:1}\n"
    "svg .tick{stroke:var(--ink);stroke-width:1.6;fill:none}\n"
    "svg .hatch{stroke:var(--ink);stroke-opacity:.35;stroke-width:2}\n"
    "svg .dot{fill:var(--ink);fill-opacity:.45}\n"
    "svg .acks-east{stroke:var(--east)}svg .acks-west{stroke:var(--west)}\n"
    "svg .most{stroke-opacity:.38}\n" SPAN("east") SPAN("west") SPAN("good") SPAN("warn")
        SPAN("bad") SPAN("busy")
            SPAN("calm") "svg .s-shut,svg .s-mute{stroke:var(--soft)}\n"
                         "svg#near .s-shut{fill:url(#near-shut)}svg#whole "
                         ".s-shut{fill:url(#whole-shut)}\n"
                         "svg#near .s-mute{fill:url(#near-mute)}svg#whole "
                         ".s-mute{fill:url(#whole-mute)}\n";
