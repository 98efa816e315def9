//! The header as text: the items in the order of the sections.

use crate::items::{Item, Kind, Member};
use crate::sections::{Part, Section};
use std::collections::BTreeSet;

/// Longer declarations are broken between their arguments.
const WIDTH: usize = 110;

/// What there is of the source, and what of it has been written.
struct Writer<'a> {
    items: &'a [Item],
    written: BTreeSet<&'a str>,
    declared: BTreeSet<&'a str>,
    out: String,
    problems: Vec<String>,
}

/// The sections, one after the other. What they do not name, name twice, or name although it is not there is a problem, and
/// so is what has no comment.
pub fn arrange(items: &[Item], sections: &[Section]) -> Result<String, Vec<String>> {
    let mut writer =
        Writer { items, written: BTreeSet::new(), declared: BTreeSet::new(), out: String::new(), problems: Vec::new() };
    for (number, section) in (1..).zip(sections) {
        writer.out.push_str(&format!("\n/* {}\n * {number}. {}\n", "=".repeat(76), section.title));
        for line in section.about.lines() {
            writer.out.push_str(&format!(" *{}{line}\n", space_before(line)));
        }
        writer.out.push_str(&format!(" * {} */\n", "=".repeat(73)));
        for part in section.parts {
            writer.out.push('\n');
            writer.part(part);
        }
    }
    for item in items {
        if !writer.written.contains(item.name.as_str()) {
            writer.problems.push(format!("{}: no section names it (tests/header/sections.rs)", item.name));
        }
    }
    if writer.problems.is_empty() { Ok(writer.out) } else { Err(writer.problems) }
}

impl<'a> Writer<'a> {
    fn part(&mut self, part: &Part) {
        match *part {
            Part::Enum(about, names) => self.enumeration(about, names),
            Part::Declared(name, about) => {
                self.out.push_str(&format!("/** {about} */\ntypedef struct {name} {name};\n"));
                if let Some(item) = self.items.iter().find(|item| item.name == name) {
                    self.declared.insert(&item.name);
                }
            }
            Part::Item(name) => match self.take(name) {
                Some(Item { kind: Kind::Struct(members), comment, .. }) => {
                    self.comment("", name, comment);
                    self.structure(name, members);
                }
                Some(Item { kind: Kind::Opaque, comment, .. }) => {
                    self.comment("", name, comment);
                    self.out.push_str(&format!("typedef struct {name} {name};\n"));
                }
                Some(Item { kind: Kind::Function(declaration), comment, .. }) => {
                    self.comment("", name, comment);
                    self.declaration("", declaration);
                }
                Some(Item { kind: Kind::Constant(_), .. }) => self.problems.push(format!("{name}: a constant outside an enum")),
                None => {}
            },
        }
    }

    /// The item of this name, once.
    fn take(&mut self, name: &str) -> Option<&'a Item> {
        let items = self.items;
        let Some(item) = items.iter().find(|item| item.name == name) else {
            self.problems.push(format!("{name}: a section names it, and the source does not have it"));
            return None;
        };
        if !self.written.insert(&item.name) {
            self.problems.push(format!("{name}: named twice"));
            return None;
        }
        Some(item)
    }

    /// One enum. A name that ends in `*` is every constant that begins so, in the order of the source.
    fn enumeration(&mut self, about: &str, names: &[&str]) {
        let mut constants = Vec::new();
        for name in names {
            let found: Vec<&str> = match name.strip_suffix('*') {
                Some(start) => self.items.iter().map(|item| item.name.as_str()).filter(|name| name.starts_with(start)).collect(),
                None => vec![name],
            };
            if found.is_empty() {
                self.problems.push(format!("{name}: a section names it, and the source does not have it"));
            }
            constants.extend(found.into_iter().filter_map(|name| self.take(name)));
        }
        self.comment("", about, &about.lines().map(str::to_string).collect::<Vec<_>>());
        self.out.push_str("enum {\n");
        for (number, item) in (1..).zip(&constants) {
            let Kind::Constant(value) = item.kind else {
                self.problems.push(format!("{}: not a constant", item.name));
                continue;
            };
            self.comment("  ", &item.name, &item.comment);
            let comma = if number == constants.len() { "" } else { "," };
            self.out.push_str(&format!("  {} = {value}{comma}\n", item.name));
        }
        self.out.push_str("};\n");
    }

    fn structure(&mut self, name: &str, members: &[Member]) {
        let declared = self.declared.contains(name);
        self.out.push_str(&if declared { format!("struct {name} {{\n") } else { "typedef struct {\n".to_string() });
        for member in members {
            self.comment("  ", &format!("{name}: {}", member.declaration), &member.comment);
            self.declaration("  ", &member.declaration);
        }
        self.out.push_str(&if declared { "};\n".to_string() } else { format!("}} {name};\n") });
    }

    fn comment(&mut self, indent: &str, of: &str, lines: &[String]) {
        match lines {
            [] => self.problems.push(format!("{of}: no comment")),
            [line] => self.out.push_str(&format!("{indent}/** {line} */\n")),
            lines => {
                self.out.push_str(&format!("{indent}/**\n"));
                for line in lines {
                    self.out.push_str(&format!("{indent} *{}{line}\n", space_before(line)));
                }
                self.out.push_str(&format!("{indent} */\n"));
            }
        }
    }

    /// A declaration, its arguments broken over several lines when it is too long.
    fn declaration(&mut self, indent: &str, declaration: &str) {
        if indent.len() + declaration.len() <= WIDTH {
            self.out.push_str(&format!("{indent}{declaration}\n"));
            return;
        }
        let (head, arguments) = declaration.split_at(declaration.rfind('(').map_or(0, |at| at + 1));
        let mut line = format!("{indent}{head}");
        let column = line.len();
        for (number, argument) in arguments.split(", ").enumerate() {
            if number > 0 {
                line.push(',');
                if line.len() + 1 + argument.len() + 1 > WIDTH {
                    self.out.push_str(&line);
                    self.out.push('\n');
                    line = " ".repeat(column);
                } else {
                    line.push(' ');
                }
            }
            line.push_str(argument);
        }
        self.out.push_str(&line);
        self.out.push('\n');
    }
}

fn space_before(line: &str) -> &'static str {
    if line.is_empty() { "" } else { " " }
}
