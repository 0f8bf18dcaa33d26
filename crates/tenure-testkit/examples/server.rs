//! A Redis of its own, for a program that cannot depend on the kit: it prints the server's URL, and
//! stops the server when its input ends.
//!
//! ```text
//! cargo run --package tenure-testkit --example server
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use tenure_testkit::Server;

fn main() -> std::io::Result<()> {
    let server = Server::redis().start();
    println!("{}", server.url());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop)
}
