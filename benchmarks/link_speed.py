"""What a TCP connection makes of a link: its round trip in ms, and its Gbit/s one way.
  link_speed.py serve ADDRESS        waits for one connection
  link_speed.py measure ADDRESS      prints both"""
import socket
import sys
import time

PORT, ROUNDS, BLOCK, BLOCKS = 29400, 500, 1 << 20, 512


def serve(address):
    connection, _ = socket.create_server((address, PORT)).accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(ROUNDS):
        connection.sendall(connection.recv(1))
    left, block = BLOCK * BLOCKS, bytearray(BLOCK)
    while left > 0:
        received = connection.recv_into(block)
        if received == 0:
            sys.exit("link_speed: the other end has gone")
        left -= received
    connection.sendall(b"x")


def measure(address):
    deadline = time.monotonic() + 10
    while True:
        try:
            connection = socket.create_connection((address, PORT))
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    round_trips = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        connection.sendall(b"x")
        connection.recv(1)
        round_trips.append(time.perf_counter() - begun)
    block, begun = bytes(BLOCK), time.perf_counter()
    for _ in range(BLOCKS):
        connection.sendall(block)
    connection.recv(1)
    rate = 8e-9 * BLOCK * BLOCKS / (time.perf_counter() - begun)
    print(f"{1e3 * sorted(round_trips)[ROUNDS // 2]:.3f} ms there and back, {rate:.2f} Gbit/s")


{"serve": serve, "measure": measure}[sys.argv[1]](sys.argv[2])
