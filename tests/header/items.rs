//! What cbindgen makes of the source, taken apart.

/// A constant, a type or a function, with the lines of its comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub name: String,
    pub comment: Vec<String>,
    pub kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    Constant(i64),
    /// `typedef struct NAME NAME;`
    Opaque,
    Struct(Vec<Member>),
    /// The declaration, in one line.
    Function(String),
}

/// A member of a struct, its declaration in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    pub comment: Vec<String>,
    pub declaration: String,
}

/// `1 << 3` and the like.
fn evaluate(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('(').trim_end_matches(')').trim();
    match text.split_once("<<") {
        Some((a, b)) => Some(evaluate(a)? << evaluate(b)?),
        None => text.parse().ok(),
    }
}

/// A comment that begins with the first of `lines`, without its marks; takes its lines.
fn comment<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut text = Vec::new();
    for line in lines {
        let line = line.trim();
        match line {
            "/**" => {}
            "*/" => break,
            _ => text.push(line.trim_start_matches('*').strip_prefix(' ').unwrap_or_default().trim_end().to_string()),
        }
    }
    text
}

/// The next declaration, which may go over several lines, in one; takes its lines.
fn declaration<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines {
        let line = line.trim();
        if !text.is_empty() && !text.ends_with('(') {
            text.push(' ');
        }
        text.push_str(line);
        if line.ends_with(';') {
            break;
        }
    }
    text
}

fn members(body: &[&str]) -> Vec<Member> {
    let mut lines = body.iter().copied().peekable();
    let mut members = Vec::new();
    while let Some(line) = lines.peek() {
        let comment = if line.trim() == "/**" { comment(&mut lines) } else { Vec::new() };
        members.push(Member { comment, declaration: declaration(&mut lines) });
    }
    members
}

/// All items, in the order of the source. Constants that are not STEADFAST_ are left out.
pub fn parse(generated: &str) -> Result<Vec<Item>, String> {
    let mut lines = generated.lines().peekable();
    let mut items = Vec::new();
    let mut text = Vec::new();
    while let Some(&line) = lines.peek() {
        if line.is_empty() {
            lines.next();
        } else if line == "/**" {
            text = comment(&mut lines);
        } else {
            let comment = std::mem::take(&mut text);
            let (name, kind) = if let Some(define) = line.strip_prefix("#define ") {
                lines.next();
                let (name, value) = define.split_once(' ').ok_or(format!("not a constant: {line}"))?;
                if !name.starts_with("STEADFAST_") {
                    continue;
                }
                (name.to_string(), Kind::Constant(evaluate(value).ok_or(format!("not a number: {line}"))?))
            } else if line == "typedef struct {" {
                lines.next();
                let mut body = Vec::new();
                let end = loop {
                    let line = lines.next().ok_or("a struct without an end")?;
                    match line.strip_prefix("} ") {
                        Some(end) => break end,
                        None => body.push(line),
                    }
                };
                (end.trim_end_matches(';').to_string(), Kind::Struct(members(&body)))
            } else {
                let declaration = declaration(&mut lines);
                if let Some(opaque) = declaration.strip_prefix("typedef struct ") {
                    (opaque.split(' ').next().unwrap_or_default().to_string(), Kind::Opaque)
                } else if let Some((name, _)) = declaration.split_once("(*").and_then(|(head, rest)| {
                    // A pointer to a function.
                    rest.split_once(')').filter(|_| head.starts_with("typedef "))
                }) {
                    (name.to_string(), Kind::Function(declaration))
                } else {
                    let head = declaration.split('(').next().unwrap_or_default();
                    let name = head.rsplit([' ', '*']).next().unwrap_or_default().to_string();
                    if !declaration.ends_with(");") || name.is_empty() {
                        return Err(format!("neither a constant, a type nor a function: {declaration}"));
                    }
                    (name, Kind::Function(declaration))
                }
            };
            items.push(Item { name, comment, kind });
        }
    }
    Ok(items)
}
