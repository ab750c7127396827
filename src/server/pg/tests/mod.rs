//! The server against real clients and raw sockets.
