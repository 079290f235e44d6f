//! Colours and fonts of all figures.

/// The classes of everything that is drawn. Series are told apart by dash and marker as well as by colour (the eight of Okabe and Ito
/// 2008, which colour-blind readers can tell apart, less those that are too light).
pub(super) const STYLE: &str = "
    .figure text { font: 13px system-ui, sans-serif; fill: #24292f; stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }
    .figure .title { font-size: 16px; font-weight: 600; }
    .figure .quiet { fill: #57606a; }
    .figure .strong { font-weight: 600; }
    .figure .page { fill: #ffffff; }
    .figure .grid { stroke: #d8dee4; }
    .figure .axis { stroke: #57606a; }
    .figure .mark { stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 2 4; }
    .figure .curve { fill: none; stroke-width: 2; }
    .figure .d1 { stroke-dasharray: 9 4; } .figure .d2 { stroke-dasharray: 2 3; }
    .figure .band { opacity: 0.22; } .figure .faint { opacity: 0.55; }
    .figure .fit { fill: none; stroke-width: 1.5; stroke-dasharray: 6 4; }
    .figure .c0 { stroke: #0060a8; } .figure .f0 { fill: #0060a8; }
    .figure .c1 { stroke: #c44e00; } .figure .f1 { fill: #c44e00; }
    .figure .c2 { stroke: #00785a; } .figure .f2 { fill: #00785a; }
    .figure .c3 { stroke: #a6428a; } .figure .f3 { fill: #a6428a; }
    .figure .c4 { stroke: #8a6500; } .figure .f4 { fill: #8a6500; }
    .figure .c5 { stroke: #57606a; } .figure .f5 { fill: #57606a; }
    .figure .cell { stroke: none; fill: none; font-size: 11px; }
    .figure .on-dark { fill: #ffffff; stroke: none; font-size: 11px; }
    .figure .on-light { fill: #1b1f24; stroke: none; font-size: 11px; }
    .figure .lost { fill: #d0d7de; }
    .figure .best { fill: none; stroke: #c44e00; stroke-width: 2.5; }
    @media screen and (prefers-color-scheme: dark) {
      .figure text { fill: #e6edf3; stroke: #0d1117; }
      .figure .quiet { fill: #9da7b3; }
      .figure .page { fill: #0d1117; }
      .figure .grid { stroke: #2b323b; }
      .figure .axis, .figure .mark { stroke: #9da7b3; }
      .figure .c0 { stroke: #58a6ff; } .figure .f0 { fill: #58a6ff; }
      .figure .c1 { stroke: #ff9b4e; } .figure .f1 { fill: #ff9b4e; }
      .figure .c2 { stroke: #3fcf9e; } .figure .f2 { fill: #3fcf9e; }
      .figure .c3 { stroke: #e58ac9; } .figure .f3 { fill: #e58ac9; }
      .figure .c4 { stroke: #e3b341; } .figure .f4 { fill: #e3b341; }
      .figure .c5 { stroke: #9da7b3; } .figure .f5 { fill: #9da7b3; }
      .figure .on-dark { fill: #ffffff; stroke: none; }
      .figure .on-light { fill: #1b1f24; stroke: none; }
      .figure .lost { fill: #3d444d; }
      .figure .best { stroke: #ff9b4e; }
    }
  ";

/// Number of colours for series.
pub(super) const COLOURS: usize = 6;

/// Kinds of line, the whole one among them, that tell series of the same colour apart.
const DASHES: usize = 3;

/// The classes of a curve; colours beyond the last begin again, dashed.
pub(crate) fn curve_class(colour: usize) -> String {
    format!("curve c{} d{}", colour % COLOURS, colour / COLOURS % DASHES)
}
