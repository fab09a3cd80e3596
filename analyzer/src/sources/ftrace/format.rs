//! The text of one event format.

/// Most fields that a text is read for; no event of any kernel has that many.
const FIELDS_MAX: usize = 256;

/// An event as its kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sources) struct EventFormat {
    /// Group of events: `sched`.
    pub(in crate::sources) system: String,
    /// Name within the group.
    pub(in crate::sources) name: String,
    /// What is in the first field of each record.
    pub(in crate::sources) id: u32,
    /// Fields of its own.
    pub(super) fields: Vec<FormatField>,
    /// Fields that every event has.
    pub(super) common: Vec<FormatField>,
    /// How it is printed: a C string and expressions.
    pub(super) print: String,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FormatField {
    /// Its C type, without the extent of an array.
    pub(super) c_type: String,
    pub(super) name: String,
    /// What stands between the brackets of an array; empty where it says nothing.
    pub(super) extent: Option<String>,
    /// Bytes from the start of the record.
    pub(super) offset: u32,
    /// Bytes; 0 where it reaches to the end of the record.
    pub(super) size: u32,
    /// `None` in the texts of old kernels.
    pub(super) is_signed: Option<bool>,
}

impl EventFormat {
    /// Reads a text; `None` when it is none, or has no name.
    pub(in crate::sources) fn parse(system: &str, text: &str) -> Option<Self> {
        let mut format = Self {
            system: system.to_owned(),
            ..Self::default()
        };
        let mut id = None;
        let mut lines = text.lines();
        for line in lines.by_ref() {
            let line = line.trim();
            if let Some(name) = line.strip_prefix("name:") {
                name.trim().clone_into(&mut format.name);
            } else if let Some(number) = line.strip_prefix("ID:") {
                id = number.trim().parse().ok();
            } else if let Some(print) = line.strip_prefix("print fmt:") {
                format.print = print.trim().to_owned();
                break;
            } else if line.starts_with("field") {
                format.add(FormatField::parse(line)?);
            }
        }
        for line in lines {
            format.print.push('\n');
            format.print.push_str(line);
        }
        format.id = id?;
        (!format.name.is_empty()).then_some(format)
    }

    /// Bytes of a field in a text that has fields only, such as that of the ring buffer's pages.
    pub(in crate::sources) fn field_bytes(text: &str, name: &str) -> Option<u32> {
        let mut fields = text
            .lines()
            .filter_map(|line| FormatField::parse(line.trim()));
        fields
            .find(|field| field.name == name)
            .map(|field| field.size)
    }

    fn add(&mut self, field: FormatField) {
        let fields = if field.name.starts_with("common_") {
            &mut self.common
        } else {
            &mut self.fields
        };
        if fields.len() < FIELDS_MAX {
            fields.push(field);
        }
    }

    /// A field that every event has.
    pub(super) fn common(&self, name: &str) -> Option<&FormatField> {
        self.common.iter().find(|field| field.name == name)
    }
}

impl FormatField {
    /// Reads `field:char comm[16]; offset:8; size:16; signed:1;`.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let (_, declaration) = parts.next()?.split_once(':')?;
        let (c_type, name, extent) = declare(declaration.trim())?;
        let mut field = Self {
            c_type,
            name,
            extent,
            offset: 0,
            size: 0,
            is_signed: None,
        };
        for part in parts {
            let Some((key, value)) = part.split_once(':') else {
                continue;
            };
            let number: Option<u32> = value.trim().parse().ok();
            match key {
                "offset" => field.offset = number?,
                "size" => field.size = number?,
                "signed" => field.is_signed = Some(number? != 0),
                _ => {}
            }
        }
        Some(field)
    }

    /// Whether it is 32 bits that say where its bytes are.
    pub(super) fn is_far(&self) -> bool {
        self.c_type.starts_with("__data_loc ") || self.is_relative()
    }

    /// Whether these count from the field's own end.
    pub(super) fn is_relative(&self) -> bool {
        self.c_type.starts_with("__rel_loc ")
    }
}

/// Type, name and extent of a C declaration. Of a far field the brackets belong to the type: `__data_loc char[] name`.
fn declare(declaration: &str) -> Option<(String, String, Option<String>)> {
    let (body, extent) = match declaration.strip_suffix(']') {
        Some(body) => {
            let (body, extent) = body.rsplit_once('[')?;
            (body.trim_end(), Some(extent.trim().to_owned()))
        }
        None => (declaration, None),
    };
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let name = body.rsplit(|letter| !is_word(letter)).next().unwrap_or("");
    let start = body.len() - name.len();
    let (c_type, name) = body.split_at(start);
    let c_type = c_type.trim();
    let (c_type, extent) = match c_type.strip_suffix("[]") {
        Some(element) => (element.trim_end(), Some(extent.unwrap_or_default())),
        None => (c_type, extent),
    };
    (!name.is_empty()).then(|| (c_type.to_owned(), name.to_owned(), extent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_taken_apart() {
        let check = |text: &str, expected: (&str, &str, Option<&str>)| {
            let (c_type, name, extent) = declare(text).unwrap();
            assert_eq!((&*c_type, &*name, extent.as_deref()), expected, "{text}");
        };
        check(
            "unsigned short common_type",
            ("unsigned short", "common_type", None),
        );
        check("char comm[16]", ("char", "comm", Some("16")));
        check(
            "__data_loc char[] name",
            ("__data_loc char", "name", Some("")),
        );
        check(
            "__rel_loc u64[] values",
            ("__rel_loc u64", "values", Some("")),
        );
        check("const char * fmt", ("const char *", "fmt", None));
        check("char *fmt", ("char *", "fmt", None));
        check(
            "unsigned long args[6]",
            ("unsigned long", "args", Some("6")),
        );
        check("char buf[]", ("char", "buf", Some("")));
        check(
            "char comm[TASK_COMM_LEN]",
            ("char", "comm", Some("TASK_COMM_LEN")),
        );
        assert_eq!(declare("]"), None);
        assert_eq!(declare(""), None);
        assert_eq!(declare("pid_t prev\u{fffd}"), None);
    }

    #[test]
    fn a_text_is_read() {
        let text = "name: sys_enter\nID: 418\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\tfield:long id;\toffset:8;\tsize:8;\tsigned:1;\n\
            \tfield:unsigned long args[6];\toffset:16;\tsize:48;\n\nprint fmt: \"NR %ld\", REC->id\n";
        let format = EventFormat::parse("raw_syscalls", text).unwrap();
        assert_eq!(
            (&*format.name, format.id, &*format.print),
            ("sys_enter", 418, "\"NR %ld\", REC->id")
        );
        assert_eq!(
            format.common("common_pid").map(|field| field.offset),
            Some(4)
        );
        assert_eq!(format.fields.len(), 2);
        assert_eq!(
            (format.fields[1].size, format.fields[1].is_signed),
            (48, None)
        );
        for end in 0..text.len() {
            let _ = EventFormat::parse("raw_syscalls", &text[..end]);
        }
        assert_eq!(EventFormat::parse("", "name: x\n"), None);
        assert_eq!(
            EventFormat::parse("", "name: x\nID: 1\nfield:int x; offset:-1; size:4;"),
            None
        );
    }
}
