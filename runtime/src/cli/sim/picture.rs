//! A run as pictures: the overlay, the tree that the last message took, the times of deliveries.

mod layout;

use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::prelude::*;
use sim::Picture;

use layout::Point;

/// Pixels of a picture's sides, and around it.
const SIDE: u32 = 900;
const MARGIN: i32 = 50;
/// Size of letters.
const TEXT: u32 = 18;
/// Bars of the histogram.
const BARS: usize = 60;
/// A node that is up, one that the tree does not reach, the tree's root, and a link.
const NODE: RGBColor = RGBColor(31, 90, 150);
const APART: RGBColor = RGBColor(200, 200, 200);
const ROOT: RGBColor = RGBColor(200, 60, 30);
const LINK: RGBColor = RGBColor(150, 160, 170);

/// Draws a run into a folder: `overlay-SEED.svg`, `tree-SEED.svg` and `times-SEED.svg`. Where
/// nothing was measured there is no picture; gives the files that there are.
pub fn draw(
    picture: &Picture,
    about: &str,
    seed: u64,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let mut drawings = vec![("overlay", overlay(picture, about)?)];
    if !picture.tree.is_empty() {
        drawings.push(("tree", tree(picture, about)?));
    }
    if !picture.delays_us.is_empty() {
        drawings.push(("times", times(picture, about)?));
    }
    let mut files = Vec::new();
    for (name, drawing) in drawings {
        let file = folder.join(format!("{name}-{seed}.svg"));
        std::fs::write(&file, drawing)
            .with_context(|| format!("can't write {}", file.display()))?;
        files.push(file.display().to_string());
    }
    Ok(files)
}

fn overlay(picture: &Picture, about: &str) -> anyhow::Result<String> {
    let (nodes, links) = (&picture.up, &picture.links);
    let index = |node: &usize| nodes.binary_search(node).ok();
    let between =
        links.iter().filter_map(|(a, b)| Some((index(a)?, index(b)?))).collect::<Vec<_>>();
    let places = layout::springs(nodes.len(), &between);
    let marks: Vec<_> = places.iter().map(|place| (*place, NODE)).collect();
    let edges: Vec<_> = between.iter().map(|(a, b)| (places[*a], places[*b])).collect();
    let title = format!("{about}: {} nodes, {} links", nodes.len(), links.len());
    graph(&title, &marks, &edges)
}

/// All nodes that were up stand in it, those that the message did not reach at the bottom.
fn tree(picture: &Picture, about: &str) -> anyhow::Result<String> {
    let ends = picture.tree.iter().flat_map(|(from, to)| [*from, *to]);
    let count = ends.chain(picture.up.iter().copied()).max().unwrap_or(0) + 1;
    let places = layout::rings(count, &picture.tree);
    let missed = picture.up.iter().filter(|node| places[**node].is_none());
    let missed: Vec<_> = missed.enumerate().map(|(at, _)| bottom(at)).collect();
    let root = |place: &Point| if *place == (0.0, 0.0) { ROOT } else { NODE };
    let reached = places.iter().flatten().map(|place| (*place, root(place)));
    let marks: Vec<_> = reached.chain(missed.iter().map(|place| (*place, APART))).collect();
    let edge = |(from, to): &(usize, usize)| Some((places[*from]?, places[*to]?));
    let edges: Vec<_> = picture.tree.iter().filter_map(edge).collect();
    let title = format!("{about}: the way of the last message to {} nodes", picture.tree.len());
    graph(&title, &marks, &edges)
}

fn bottom(at: usize) -> Point {
    (-1.0 + (at % 100) as f64 * 0.02, 1.0 - (at / 100) as f64 * 0.02)
}

fn graph(
    title: &str,
    marks: &[(Point, RGBColor)],
    edges: &[(Point, Point)],
) -> anyhow::Result<String> {
    let half = f64::from(SIDE as i32 - 2 * MARGIN) / 2.0;
    let pixel = |place: Point| {
        let on = |part: f64| MARGIN + ((part + 1.0) * half) as i32;
        (on(place.0), on(place.1))
    };
    let radius = if marks.len() > 300 { 2 } else { 5 };
    drawing(title, |area| {
        for (from, to) in edges {
            area.draw(&PathElement::new([pixel(*from), pixel(*to)], LINK.stroke_width(1)))?;
        }
        for (place, colour) in marks {
            area.draw(&Circle::new(pixel(*place), radius, colour.filled()))?;
        }
        Ok(())
    })
}

fn times(picture: &Picture, about: &str) -> anyhow::Result<String> {
    let mut all: Vec<f64> =
        picture.delays_us.iter().map(|delay| f64::from(*delay) / 1000.0).collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    let (median, late, last) = (at(0.5), at(0.99), at(1.0));
    let wide = (last / BARS as f64).max(0.001);
    let mut bars = [0_u32; BARS];
    all.iter().for_each(|delay| bars[((delay / wide) as usize).min(BARS - 1)] += 1);
    let tallest = bars.iter().copied().max().unwrap_or(1);
    let title = format!(
        "{about}: {} deliveries, half within {median:.0} ms, 99 % within {late:.0} ms",
        all.len()
    );
    drawing(&title, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(MARGIN)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..wide * BARS as f64, 0..tallest)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh().axis_desc_style(("sans-serif", TEXT)).label_style(("sans-serif", TEXT));
        mesh.x_desc("milliseconds after it was published").y_desc("deliveries");
        mesh.draw()?;
        let bar = |(at, count): (usize, &u32)| {
            let left = at as f64 * wide;
            Rectangle::new([(left, 0), (left + wide, *count)], NODE.filled())
        };
        chart.draw_series(bars.iter().enumerate().filter(|(_, count)| **count > 0).map(bar))?;
        let line = |at: f64| PathElement::new([(at, 0), (at, tallest)], ROOT.stroke_width(2));
        chart.draw_series([line(median), line(late)])?;
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A white square with a title.
fn drawing(title: &str, draw: impl FnOnce(&Area) -> Drawn) -> anyhow::Result<String> {
    let mut svg = String::new();
    let all = |svg| -> Drawn {
        let area = SVGBackend::with_string(svg, (SIDE, SIDE)).into_drawing_area();
        area.fill(&WHITE)?;
        let style = ("sans-serif", TEXT).into_font().color(&BLACK);
        area.draw(&Text::new(title.to_owned(), (MARGIN / 2, MARGIN / 4), style))?;
        draw(&area)?;
        Ok(area.present()?)
    };
    all(&mut svg).map_err(|why| anyhow!("a picture can't be drawn: {why}"))?;
    Ok(svg)
}
