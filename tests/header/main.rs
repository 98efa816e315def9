//! include/steadfast.h is what cbindgen makes of the source, in the order of `sections`, and nothing of the source is
//! missing there.
//!
//! `make header` sets STEADFAST_WRITE_HEADER to write the file instead of comparing it.
#![allow(clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

mod items;
mod layout;
mod sections;

use items::parse;
use layout::arrange;
use sections::{Part, SECTIONS, Section};
use std::path::{Path, PathBuf};

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let header = config.header.take().expect("a header");
    let trailer = config.trailer.take().expect("a trailer");
    let builder = sources(&root.join("src")).iter().fold(cbindgen::Builder::new(), cbindgen::Builder::with_src);
    let bindings = builder.with_config(config).generate().expect("cbindgen");
    let mut raw = Vec::new();
    bindings.write(&mut raw);
    let items = parse(&String::from_utf8(raw).expect("the header is UTF-8")).unwrap_or_else(|problem| panic!("{problem}"));
    for (number, section) in (1..).zip(SECTIONS) {
        let title = format!("\n *   {number}. {}\n", section.title);
        assert!(header.contains(&title), "cbindgen.toml: the list of sections lacks {title}");
    }
    let sections = arrange(&items, SECTIONS).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    format!(
        "{}\n\n#ifndef STEADFAST_H\n#define STEADFAST_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n{sections}\n#ifdef __cplusplus\n}} /* extern \"C\" */\n#endif\n\n\
         {}\n\n#endif /* STEADFAST_H */\n",
        header.trim(),
        trailer.trim()
    )
}

/// All of them, but for the Rust API. Not `with_crate`: lib.rs names some twice, once for the tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("src").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| match entry.is_dir() {
            true if entry.ends_with("api") => vec![],
            true => sources(&entry),
            false => vec![entry],
        })
        .filter(|source| !source.ends_with("lib.rs"))
        .collect();
    found.sort();
    found
}

#[test]
fn header_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/steadfast.h");
    let generated = generate();
    if std::env::var_os("STEADFAST_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("write the header");
    }
    let committed = std::fs::read_to_string(&path).expect("read include/steadfast.h");
    assert!(committed == generated, "include/steadfast.h is out of date: run `make header`");
}

/// Two constants, a struct and a function, as cbindgen writes them.
const SOURCE: &str =
    "/**\n * One.\n */\n#define STEADFAST_A_ONE (1 << 0)\n\n/**\n * Two.\n */\n#define STEADFAST_A_TWO (1 << 1)\n
#define NOT_OURS 3\n\n/**\n * A struct.\n */\ntypedef struct {\n  /**\n   * Its size.\n   */\n  size_t size;\n} steadfast_s;\n
/**\n * Does it.\n *\n * Twice.\n */\nint32_t steadfast_f(const steadfast_s *s,\n                    int32_t n);\n";
const A: Part = Part::Enum("Numbers.", &["STEADFAST_A_*"]);
const S: Part = Part::Item("steadfast_s");
const F: Part = Part::Item("steadfast_f");

fn arranged(source: &str, parts: &'static [Part]) -> Result<String, String> {
    let items = parse(source)?;
    arrange(&items, &[Section { title: "All", about: "", parts }]).map_err(|problems| problems.join("\n"))
}

#[test]
fn an_enum_has_a_comment_for_each_member_and_a_declaration_fits_its_line() {
    let text = arranged(SOURCE, &[A, S, F]).expect("complete");
    let constants = "/** Numbers. */\nenum {\n  /** One. */\n  STEADFAST_A_ONE = 1,\n  /** Two. */\n  STEADFAST_A_TWO = 2\n};\n";
    assert!(text.contains(constants), "{text}");
    assert!(text.contains("typedef struct {\n  /** Its size. */\n  size_t size;\n} steadfast_s;\n"), "{text}");
    let function = "/**\n * Does it.\n *\n * Twice.\n */\nint32_t steadfast_f(const steadfast_s *s, int32_t n);\n";
    assert!(text.contains(function), "{text}");
    assert!(!text.contains("NOT_OURS"), "{text}");
}

#[test]
fn a_struct_that_was_declared_is_defined_by_its_tag() {
    let text = arranged(SOURCE, &[Part::Declared("steadfast_s", "Later."), A, F, S]).expect("complete");
    assert!(text.contains("/** Later. */\ntypedef struct steadfast_s steadfast_s;\n"), "{text}");
    assert!(text.contains("struct steadfast_s {\n  /** Its size. */\n  size_t size;\n};\n"), "{text}");
}

#[test]
fn what_no_section_names_is_found() {
    for (parts, missing) in [(&[S, F] as &'static [Part], "STEADFAST_A_ONE"), (&[A, F], "steadfast_s"), (&[A, S], "steadfast_f")]
    {
        let problems = arranged(SOURCE, parts).expect_err(missing);
        assert!(problems.contains(&format!("{missing}: no section names it")), "{problems}");
    }
}

#[test]
fn what_a_section_names_twice_or_in_vain_is_found() {
    let problems =
        arranged(SOURCE, &[A, S, F, F, Part::Item("steadfast_g"), Part::Enum("None.", &["STEADFAST_B_*"])]).expect_err("both");
    assert_eq!(
        problems,
        "steadfast_f: named twice\n\
         steadfast_g: a section names it, and the source does not have it\n\
         STEADFAST_B_*: a section names it, and the source does not have it"
    );
}

#[test]
fn what_has_no_comment_is_found() {
    for comment in [" * One.\n", "   * Its size.\n", " * Does it.\n *\n * Twice.\n"] {
        let bare = SOURCE.replace(comment, "");
        assert!(bare != SOURCE);
        let problems = arranged(&bare, &[A, S, F]).expect_err(comment);
        assert!(problems.ends_with(": no comment"), "{problems}");
    }
}

#[test]
fn what_is_neither_constant_nor_type_nor_function_is_found() {
    assert!(parse("union u;\n").is_err());
    assert!(parse("#define STEADFAST_TEXT \"a\"\n").is_err());
}
