//! A translation has the blocks of its original, word for word and in the same order, and as many
//! headings. So what the tests run of the original holds for the translation as well.

use xtask::{blocks, root};

/// Originals and their translations.
const TRANSLATIONS: [(&str, &str); 2] =
    [("README.md", "README.zh-CN.md"), ("docs/tutorial.md", "docs/zh-CN/tutorial.md")];

/// Whether a document is a translation: its original's blocks are run in its place.
pub(crate) fn is_translation(name: &str) -> bool {
    TRANSLATIONS.iter().any(|(_, translation)| *translation == name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn a_translation_has_the_blocks_of_its_original() {
    for (original, translation) in TRANSLATIONS {
        let read = |name: &str| -> Vec<_> {
            let blocks = blocks(&text(name)).into_iter();
            blocks.map(|block| (block.language, block.code)).collect()
        };
        let (ours, theirs) = (read(original), read(translation));
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(theirs, ours, "{translation} (left), {original} (right): block {index}");
        }
        assert_eq!(theirs.len(), ours.len(), "{translation} (left), {original} (right): blocks");
    }
}

/// The levels of the headings, in order; a comment within a block is none.
fn levels(name: &str) -> Vec<usize> {
    let text = text(name);
    let mut is_code = false;
    let outside = text.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    outside.map(|line| line.chars().take_while(|c| *c == '#').count()).collect()
}

#[test]
fn a_translation_has_the_sections_of_its_original() {
    for (original, translation) in TRANSLATIONS {
        assert_eq!(levels(translation), levels(original), "{translation} and {original}");
    }
}

#[test]
fn original_and_translation_link_to_each_other_at_their_top() {
    for (original, translation) in TRANSLATIONS {
        for (from, to, label) in
            [(original, translation, "简体中文"), (translation, original, "English")]
        {
            let (text, file) = (text(from), to.rsplit('/').next().unwrap_or(to));
            let top = text.lines().take(8);
            let link = format!("[{label}](");
            let has_it = top.into_iter().any(|line| line.contains(&link) && line.contains(file));
            assert!(has_it, "{from} has no link {label} to {to} at its top");
        }
    }
}
