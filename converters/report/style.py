"""The style sheet of all pages: light, dark, on a phone and on paper."""

STYLE = (
    """
:root { color-scheme: light dark;
  --page: #fff; --ink: #1b2126; --soft: #5a6670; --hair: #e4e7ea; --wash: #f5f6f7;
  --pass: #1a7f45; --fail: #c02b2b; --underpowered: #8a6100; --noisy: #8a6100;
  --ours: #1f5fd0; --peer: #77828d; --reference: #1b2126;
  --s1: #1f5fd0; --s2: #c25e00; --s3: #13795b; --s4: #9a3fb0; --s5: #77828d; --s6: #b0195a }
@media (prefers-color-scheme: dark) { :root {
  --page: #14181b; --ink: #e7eaed; --soft: #9ba7b2; --hair: #2b3238; --wash: #1c2226;
  --pass: #4cc07c; --fail: #ff7d76; --underpowered: #dba63f; --noisy: #dba63f;
  --ours: #74a7ff; --peer: #8b97a3; --reference: #e7eaed;
  --s1: #74a7ff; --s2: #f0a04b; --s3: #4cc0a0; --s4: #d18be6; --s5: #8b97a3; --s6: #ff7fae } }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans KR", "Noto Sans CJK KR",
  "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic", sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: break-word }
h1 { font-size: 1.75rem; line-height: 1.25; letter-spacing: -.01em; margin: .6rem 0 .4rem; text-wrap: balance }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3.5rem 0 0; padding-top: 1.2rem; border-top: 2px solid var(--ink) }
h2 + p { margin-top: 0 }
h3 { font-size: 1.1rem; margin: 2.6rem 0 .4rem }
h4 { font-size: .95rem; margin: 1.8rem 0 .4rem }
p { margin: .4rem 0; max-width: 44rem } .soft, .note, figcaption small, .about { color: var(--soft) }
.note { font-size: .875rem } .about { font-size: .95rem; max-width: none; text-wrap: pretty }
header { border-top: 6px solid var(--soft); padding-top: 1.2rem }
header.pass { border-color: var(--pass) } header.fail { border-color: var(--fail) }
header.underpowered, header.unverified { border-color: var(--underpowered) }
.mark { display: inline-block; font-size: .75rem; font-weight: 650; letter-spacing: .04em; text-transform: uppercase;
  white-space: nowrap; line-height: 1.5; padding: 0 .5em; border: 1.5px solid; border-radius: 1em }
.mark.pass { color: var(--pass) } .mark.fail { color: var(--fail) }
.mark.underpowered, .mark.unverified, .mark.noisy { color: var(--underpowered) }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: 1.2rem 2rem;
  margin: 1.8rem 0 0; padding: 0 }
.numbers dt { font-size: .875rem; line-height: 1.4; color: var(--soft) }
.numbers div { display: flex; flex-direction: column-reverse; justify-content: flex-end }
.numbers dd { margin: 0; font-size: 1.9rem; font-weight: 600; line-height: 1.3; letter-spacing: -.02em }
.numbers dd small { font-size: .95rem; font-weight: 500; letter-spacing: 0; color: var(--soft) }
.findings { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 1.1rem; list-style: none;
  margin: 1.8rem 0 0; padding: 0; border-bottom: 1px solid var(--hair) }
.findings li { grid-column: 1 / -1; display: grid; grid-template-columns: subgrid; padding: .6rem 0;
  align-items: baseline; border-top: 1px solid var(--hair) }
.findings li > span { justify-self: start } .findings small { display: block; font-size: .875rem; color: var(--soft) }
.warning { border-left: 3px solid; padding: .1rem 0 .1rem .8rem }
.warning.fail { border-color: var(--fail) } .warning.pass { border-color: var(--pass) }
.warning.underpowered, .warning.unverified, .warning.noisy { border-color: var(--underpowered) }
figure { margin: 0 } .chart { margin: 1.2rem 0 2rem; break-inside: avoid }
.chart > figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .7rem }
.chart > .note { margin-top: .6rem }
.wide { overflow-x: auto; margin: 1rem 0; background: linear-gradient(to right, var(--page) 40%, transparent) local,
  linear-gradient(to left, var(--page) 40%, transparent) right local,
  linear-gradient(to right, var(--hair), transparent), linear-gradient(to left, var(--hair), transparent) right;
  background-size: 3rem 100%, 3rem 100%, .9rem 100%, .9rem 100%; background-repeat: no-repeat }
table { border-collapse: collapse; font-size: .9rem; min-width: 100% }
caption { text-align: left; font-weight: 600; font-size: .95rem; padding: .4rem 0 }
th, td { padding: .35rem 0 .35rem 1.1rem; border-bottom: 1px solid var(--hair); text-align: right; white-space: nowrap;
  vertical-align: baseline }
th { font-weight: 500; color: var(--soft) } thead th { vertical-align: bottom; line-height: 1.3; white-space: normal }
td .mark { border: 0; padding: 0; font-size: inherit; text-transform: none; letter-spacing: 0 }
th:first-child { text-align: left; padding-left: 0 } tbody th { color: var(--ink); font-weight: 400 }
.facts td { text-align: left; width: 100%; white-space: normal; overflow-wrap: anywhere }
.facts th { white-space: nowrap; vertical-align: top }
svg { display: block; overflow: visible } svg text { font-size: 12px; fill: var(--soft) }
.grid { stroke: var(--hair) } .rule { stroke: var(--ink); stroke-dasharray: 3 3; opacity: .6 }
svg .ruled { fill: var(--ink) } .lead { stroke: var(--soft); opacity: .6 }
.rows { display: grid; grid-template-columns: fit-content(15rem) minmax(0, 1fr) auto; font-size: .875rem;
  line-height: 1.3 }
.rows > div { grid-column: 1 / -1; display: grid; grid-template-columns: subgrid; align-items: center }
.rows .name { grid-area: 1 / 1; padding: .3rem 1.2rem .3rem 0 }
.rows .value { grid-area: 1 / 3; padding: .3rem 0 .3rem 1.2rem; text-align: right }
.rows .track { grid-area: 1 / 2; align-self: stretch; min-height: 1.9rem; position: relative }
.rows .track > svg { position: absolute; inset: 0; height: 100% }
.rows > .heading { display: block; color: var(--soft); padding-top: .9rem }
.rows .above, .rows .axis { min-height: 1.3rem } .rows .axis { margin-top: .2rem }
.rows .axis-title { grid-area: 2 / 2; color: var(--soft); font-size: .8rem; text-align: center }
.plot { padding: 0 1.2rem 0 3.4rem; font-size: .8rem; color: var(--soft) } .plot.named { padding-right: 8.5rem }
.canvas { margin: .9rem 0 1.9rem } .y-title { margin-left: -3.4rem } .x-title { text-align: center; margin-top: -.2rem }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round } .band { opacity: .16 }
.span { stroke-width: 1.5 } .box { stroke-width: 6; opacity: .35 }
.faint { opacity: .4 } .dot { stroke: var(--page); stroke-width: 1.5 }
svg .label { font-weight: 500; paint-order: stroke; stroke: var(--page); stroke-width: 3px; stroke-linejoin: round }
svg .strong { font-weight: 700 }
"""
    + "".join(
        f"line.{tone}, polyline.{tone} {{ stroke: var(--{tone}) }}"
        f" circle.{tone}, polygon.{tone}, svg text.{tone} {{ fill: var(--{tone}) }}\n"
        for tone in ("ours", "peer", "reference", "pass", "fail", "underpowered", "s1", "s2", "s3", "s4", "s5", "s6")
    )
    + """
.plates { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: 1.4rem 1.2rem;
  margin: 1rem 0 }
.plates figure { break-inside: avoid } .plates img { display: block; width: 100%; height: 5.5rem; object-fit: contain;
  background: var(--wash); border-radius: 4px }
.plates figcaption { font-size: .9rem; line-height: 1.4; padding-top: .35rem }
.plates dl { margin: 0 } .plates dt, .plates small { display: block; font-size: .8rem; color: var(--soft);
  overflow-wrap: anywhere }
.plates dd { margin: 0 0 .25rem; font-weight: 600; word-break: keep-all; overflow-wrap: anywhere }
.wrong { color: var(--fail) }
@media (max-width: 40rem) {
  body { padding: 1.2rem 1rem 3rem } h1 { font-size: 1.4rem } h2 { margin-top: 2.6rem }
  .numbers { grid-template-columns: 1fr 1fr; gap: 1.1rem } .numbers dd { font-size: 1.5rem }
  .findings, .findings li { grid-template-columns: minmax(0, 1fr); gap: .3rem }
  .rows { grid-template-columns: minmax(0, 1fr) auto } .rows .name { padding: .7rem .6rem 0 0 }
  .rows .value { grid-area: 1 / 2; padding: .7rem 0 0 .6rem }
  .rows .track { grid-area: 2 / 1 / auto / -1; min-height: 1.6rem } .rows .axis-title { grid-area: 3 / 1 / auto / -1 }
  .plot { padding-left: 2.6rem } .plot.named { padding-right: 6.2rem } .y-title { margin-left: -2.6rem }
  .plates { grid-template-columns: 1fr 1fr; gap: 1.2rem .9rem }
  table:not(.facts) thead { display: none }
  table:not(.facts), table:not(.facts) caption, table:not(.facts) tbody { display: block }
  table:not(.facts) tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .4rem .8rem;
    padding: .7rem 0; border-bottom: 1px solid var(--hair) }
  table:not(.facts) th, table:not(.facts) td { border: 0; padding: 0; text-align: left; white-space: normal;
    overflow-wrap: anywhere; line-height: 1.35 }
  table:not(.facts) th { grid-column: 1 / -1; font-weight: 600 } table:not(.facts) td:empty { display: none }
  table:not(.facts) td::before { content: attr(data-label); display: block; font-size: .8rem; color: var(--soft) }
}
@media print {
  :root { color-scheme: light; --page: #fff; --ink: #000; --soft: #444; --hair: #ccc; --wash: #f3f3f3 }
  body { max-width: none; padding: 0; font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact }
  h2, h3, h4 { break-after: avoid } .wide { overflow: visible } tr, .findings li { break-inside: avoid }
  @page { margin: 16mm 15mm }
}
"""
)
