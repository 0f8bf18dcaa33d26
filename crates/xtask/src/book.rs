//! The book of all documents, as mdbook builds it. Documents link to files beside `docs`, and
//! mdbook takes no page from outside of one directory. So pages and files are copied first, each
//! at its place below the root, and every link stays as it is.

use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::root;

/// The list of the pages, and the directory that its links begin at.
const SUMMARY: &str = "docs/SUMMARY.md";
/// Without the default preprocessors a page of the name README keeps it, as links to it do.
const SETTINGS: &str = "[book]\ntitle = \"Tenure\"\nlanguage = \"en\"\nsrc = \"src\"\n\n\
                        [build]\nbuild-dir = \"html\"\ncreate-missing = false\n\
                        use-default-preprocessors = false\n";

/// The pages that the summary lists, as paths below the root.
///
/// # Panics
/// If there is no summary.
#[must_use]
pub fn pages() -> Vec<PathBuf> {
    let summary = fs::read_to_string(root().join(SUMMARY)).expect("the summary");
    links(&summary).map(|link| below_root(Path::new(SUMMARY), link)).collect()
}

/// Builds the book in `place`, which is made anew, by the mdbook that is installed. Answers what
/// mdbook said.
///
/// # Errors
/// If a file cannot be copied, or mdbook is not installed, or fails.
pub fn book(place: &Path) -> Result<String, String> {
    write_sources(place).map_err(|error| format!("{}: {error}", place.display()))?;
    let output = Command::new("mdbook").arg("build").arg(place).output();
    let output = output.map_err(|error| format!("mdbook is not installed: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn write_sources(place: &Path) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    let sources = place.join("src");
    let write = |path: &Path, bytes: &[u8]| {
        let path = sources.join(path);
        fs::create_dir_all(path.parent().expect("a directory"))?;
        fs::write(path, bytes)
    };
    let mut summary = fs::read_to_string(root().join(SUMMARY))?;
    for page in pages() {
        let text = fs::read_to_string(root().join(&page))?;
        for link in links(&text) {
            let target = below_root(&page, link);
            let is_file = root().join(&target).is_file();
            if is_file && target.extension() != Some("md".as_ref()) {
                write(&target, &fs::read(root().join(&target))?)?;
            }
        }
        write(&page, text.as_bytes())?;
    }
    summary = summary.replace("](", "](docs/").replace("](docs/../", "](");
    write(Path::new("SUMMARY.md"), summary.as_bytes())?;
    fs::write(place.join("book.toml"), SETTINGS)
}

/// The targets of the links of a document that are files, without the heading.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let listed = text.lines().filter(|line| line.starts_with('[') && !line.starts_with("[^"));
    let listed = listed.filter_map(|line| line.split_once("]: ").map(|(_, target)| target));
    let targets = inline.chain(listed).filter_map(|target| target.split('#').next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

/// The path below the root of what `page` calls `link`.
fn below_root(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}
