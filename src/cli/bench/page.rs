//! The page in `docs/` and the pictures: written by the bench, never by hand.

use std::path::Path;

use super::super::files;
use super::super::output::{Failure, status};
use super::picture;
use super::report::Report;
use super::unexpected;
use crate::disk::{DirMode, Disk, FileMode, read_file, write_file_atomically};

const BEGIN: &str = "<!-- bench: begin -->\n";
const END: &str = "<!-- bench: end -->\n";
const PAGE: &str = "performance.md";
const PICTURES: &str = "performance";
/// Larger than the page will ever be.
const PAGE_MAX_BYTES: u64 = 4 << 20;

/// Writes each plot as an SVG file.
pub(super) fn write_pictures(report: &Report, directory: &Path) -> Result<(), Failure> {
    let disk = files::disk();
    disk.create_dir_all(directory, DirMode::Shared).map_err(unexpected)?;
    for plot in &report.plots {
        write(&*disk, &directory.join(format!("{}.svg", plot.name)), picture::svg(plot).as_bytes())?;
    }
    Ok(())
}

/// Writes the measured part of the page, between its two marks, the pictures, and the numbers as JSON. What people
/// wrote around the marks stays.
pub(super) fn write_page(report: &Report, directory: &Path) -> Result<(), Failure> {
    let disk = files::disk();
    let path = directory.join(PAGE);
    let page = read_file(&*disk, &path, PAGE_MAX_BYTES).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()), "--write takes the project's docs directory")
    })?;
    let page = String::from_utf8(page).map_err(unexpected)?;
    let marked = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marked.ok_or_else(|| {
        Failure::new(
            format!("{} lacks its marks", path.display()),
            format!("put {BEGIN}{END} where the table goes"),
        )
    })?;
    let pictures = directory.join(PICTURES);
    write_pictures(report, &pictures)?;
    let json = serde_json::to_string_pretty(report).map_err(unexpected)?;
    write(&*disk, &pictures.join("performance.json"), format!("{json}\n").as_bytes())?;
    let page = format!("{before}{BEGIN}{}{END}{after}", report.markdown(PICTURES));
    write(&*disk, &path, page.as_bytes())?;
    status(&format!("wrote {} and {}", path.display(), pictures.display()));
    Ok(())
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_file_atomically(disk, path, bytes, FileMode::Shared)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "check the path and its disk"))
}
