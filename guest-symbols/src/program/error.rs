//! What can be wrong with a program, with the facts a message needs.

/// Why a program's code cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// Another kind of file.
    #[error(
        "not a program or library: it is no ELF file\nhint: of a script, name the program that runs it"
    )]
    NotElf,
    /// Another processor, or 32 bits.
    #[error(
        "not a program for x86-64: programs of 32 bits and of other processors are not supported"
    )]
    OtherMachine,
    /// An object file, a core dump, or a kernel module.
    #[error("not a program or library that can run: it is not linked")]
    NotLinked,
    /// The headers make no sense.
    #[error(
        "the headers of the program cannot be read\nhint: the file is damaged; fetch or copy it again"
    )]
    Elf {
        /// What the parser says.
        source: goblin::error::Error,
    },
    /// Its code is written to when it starts.
    #[error(
        "the code of the program is changed as it starts (text relocations), so it cannot be recognised\n\
         hint: build it as position-independent code, with -fPIC or -fPIE"
    )]
    TextRelocations,
    /// There is nothing to execute.
    #[error(
        "the file has no code\nhint: debug information in a file of its own has none; name the program itself"
    )]
    NoCode,
}
