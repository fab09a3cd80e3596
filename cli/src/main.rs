//! The guesttrace command.

fn main() {}
