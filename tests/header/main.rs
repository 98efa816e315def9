//! include/steadfast.h is what cbindgen makes of the source, and the library exports just what it declares.
//!
//! `make header` sets STEADFAST_WRITE_HEADER to write the file instead of comparing it.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;

/// `1 << 3` and the like.
fn evaluate(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('(').trim_end_matches(')').trim();
    match text.split_once("<<") {
        Some((a, b)) => Some(evaluate(a)? << evaluate(b)?),
        None => text.parse().ok(),
    }
}

/// Constants as enums; those that are not ours dropped, with the comment above them.
fn with_enums(generated: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut comment: Vec<String> = Vec::new();
    for line in generated.lines() {
        let in_comment = line.starts_with("/**") || (!comment.is_empty() && line.starts_with(" *"));
        if in_comment {
            comment.push(line.to_string());
            continue;
        }
        let define = line.strip_prefix("#define ").and_then(|rest| rest.split_once(' '));
        match define {
            Some((name, value)) => {
                if name.starts_with("STEADFAST_") {
                    let value = evaluate(value).unwrap_or_else(|| panic!("not a number: {line}"));
                    out.append(&mut comment);
                    out.push(format!("enum {{ {name} = {value} }};"));
                }
                comment.clear();
            }
            None => {
                out.append(&mut comment);
                out.push(line.to_string());
            }
        }
    }
    let mut text = String::new();
    let mut blank = false;
    for line in out {
        // cbindgen's blank lines around what was dropped.
        if line.is_empty() && blank {
            continue;
        }
        blank = line.is_empty();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let trailer = config.trailer.take().expect("a trailer");
    let bindings = cbindgen::Builder::new().with_crate(root).with_config(config).generate().expect("cbindgen");
    let mut raw = Vec::new();
    bindings.write(&mut raw);
    let header = with_enums(&String::from_utf8(raw).expect("the header is UTF-8"));
    // cbindgen puts its trailer after the include guard.
    let (body, end) = header.rsplit_once("#endif  /* STEADFAST_H */").expect("the include guard");
    format!("{body}{}\n\n#endif  /* STEADFAST_H */{end}", trailer.trim())
}

#[test]
fn header_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/steadfast.h");
    let generated = generate();
    if std::env::var_os("STEADFAST_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("write the header");
    }
    for line in generated.lines().filter(|line| line.starts_with("typedef ") && line.ends_with(';')) {
        let name = line.rsplit(' ').next().unwrap_or_default();
        assert!(name.starts_with("steadfast_"), "a private type in the header: {line}");
    }
    let committed = std::fs::read_to_string(&path).expect("read include/steadfast.h");
    assert!(committed == generated, "include/steadfast.h is out of date: run `make header`");
}
