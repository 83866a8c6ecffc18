"""What agents try, as programs that print JSON."""

GET = """
import http.client, json, sys, urllib.parse, urllib.request, urllib.error
fields = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
request = urllib.request.Request(sys.argv[1], headers=fields)
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        told = [answer.status, answer.read().decode(), answer.headers.get("x-toolgate-call")]
except urllib.error.HTTPError as error:
    told = [error.code, error.read().decode(), None]
print(json.dumps(told))
"""
"""URL, fields: status, body, id of the call."""

SECURE = """
import json, ssl, socket, sys
host, name, port, authority = sys.argv[1], sys.argv[2] or None, int(sys.argv[3]), sys.argv[4]
context = ssl.create_default_context(cafile=authority)
context.check_hostname = False
try:
    with socket.create_connection((host, port), 10) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
        shown = dict(tls.getpeercert()["subjectAltName"])["DNS"]
        tls.sendall(b"GET /in HTTP/1.1\\r\\nHost: safe.example\\r\\nConnection: close\\r\\n\\r\\n")
        told = b""
        while data := tls.recv(4096):
            told += data
        print(json.dumps([shown, told.decode()]))
except OSError as error:
    print(json.dumps([None, str(error)]))
"""
"""Host to connect to, name to ask for, port, authority: whose certificate was shown, and the answer."""

TCP = """
import json, socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
        if len(sys.argv) > 3:
            connection.sendall(sys.argv[3].encode("latin-1"))
        told = b""
        while data := connection.recv(4096):
            told += data
    print(json.dumps(told.decode("latin-1")))
except OSError as error:
    print(json.dumps(f"failed: {error}"))
"""
"""Address, port, what to say first: what came back."""

UDP = """
import json, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as one:
    one.settimeout(10)
    try:
        one.connect((sys.argv[1], int(sys.argv[2])))
        one.send(sys.argv[3].encode())
        told = one.recv(2048).decode()
    except OSError as error:
        told = f"failed: {error}"
print(json.dumps(told))
"""
"""Address, port, what to say: what came back."""

PING = """
import json, socket, sys
six = ":" in sys.argv[1]
family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
try:
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as one:
        one.settimeout(10)
        one.sendto(bytes((128 if six else 8, 0, 0, 0, 0, 1, 0, 1)) + b"out", (sys.argv[1], 0))
        one.recv(2048)
    print(json.dumps("answered"))
except OSError as error:
    print(json.dumps(f"failed: {error}"))
"""
"""Address: whether an echo came back."""

SERVE = """
import socket, sys
with socket.create_server(("0.0.0.0", 7070)) as listening:
    print("ready", flush=True)
    connection, _ = listening.accept()
    connection.sendall(b"alive")
    connection.close()
"""
"""One connection from outside is answered."""

RAW = """
import json, socket, struct, sys
target, port, said = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
udp = struct.pack("!HHHH", 40000, port, 8 + len(said), 0) + said
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                   socket.inet_aton("10.213.7.1"), socket.inet_aton(target))
total = sum(struct.unpack("!10H", head))
total = (total & 0xFFFF) + (total >> 16)
head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
try:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as one:
        one.sendto(head + udp, ("eth0", 0x0800, 0, 0, b"\\xff" * 6))
    print(json.dumps("sent"))
except OSError as error:
    print(json.dumps(f"failed: {error}"))
"""
"""Address of IPv4, port, what to say: whether a packet that it has made itself was sent, past all rules of IP."""

CLOSE = """
import json, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: tool.example\\r\\n\\r\\n")
    connection.recv(4096)
print(json.dumps("closed"))
"""
"""Address, port: one call, and a client that ends the connection."""

LAST_ACK = """
with open("/proc/net/tcp") as table:
    print(len([line for line in table if line.split()[3] == "09"]))
"""
"""Connections whose own end has not been confirmed."""
