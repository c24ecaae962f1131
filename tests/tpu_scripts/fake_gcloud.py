"""Stands in for gcloud: records each call, books slices that exist only as folders, fails as told.

On PATH lies CLIENT, which hands its arguments to a FakeGcloud in the test's own process.
"""

import pathlib
import shutil
import socketserver
import subprocess
import threading

CLIENT = """#!/bin/bash
exec 3<>"/dev/tcp/127.0.0.1/@PORT@"
printf '%s\\0' "$#" "$@" >&3
IFS= read -r code <&3
IFS= read -r -d '' out <&3
IFS= read -r -d '' err <&3
printf '%s' "$out"
printf '%s' "$err" >&2
exit "$code"
"""

# Machines a slice, by Google's documentation, not by our table.
HOSTS = {"v4-8": 1, "v4-16": 2, "v4-32": 4, "v5litepod-16": 4, "v6e-8": 1}


class CloudError(Exception):
    """What gcloud prints to stderr before it ends with 1."""


def not_found(name):
    return CloudError(f"ERROR: (gcloud) NOT_FOUND: Resource 'projects/p/{name}' was not found")


class FakeGcloud:
    """The cloud.

    Attributes:
      calls: argv of each call, without `compute tpus`.
      states: what the queued resource goes through, one a look; the last one stays. `STATE:message`
        has an error message.
      next_states: `states` of the next queued resources that are made.
      queued: the queued resource; None where there is none.
      nodes: name -> state.
      sticky: nodes that stay when their queued resource is deleted.
      unreachable: (node, worker) that ssh does not reach.
      fail: operation -> messages with which its next calls fail; an empty one succeeds.
      address: of worker 0.
      on_create: called when a queued resource is made.
      before_start: called with the home of the machine `before_start_of` (`all`: of each of them)
        before its run starts.
    """

    def __init__(self, folder):
        self.machines = folder / "machines"
        self.machine_bin = folder / "machine_bin"
        self.calls = []
        self.states, self.next_states = [], []
        self.queued, self.nodes = None, {}
        self.sticky, self.unreachable = set(), set()
        self.fail = {}
        self.address = "127.0.0.1"
        self.before_start, self.before_start_of = lambda home: None, ""
        self.on_create = lambda: None
        self._looks = 0
        self._lock = threading.Lock()

        def handle(request, *_):
            with request.makefile("rwb") as stream:
                answer(self.call, stream)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handle)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.port = self._server.server_address[1]

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def call(self, argv):
        """(exit code, stdout, stderr) of one call."""
        assert argv[:2] == ["compute", "tpus"], argv
        flags = dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))
        assert flags["zone"], argv
        _, _, kind, verb, *rest = [word for word in argv if not word.startswith("--")]
        with self._lock:
            self.calls.append(argv[2:])
            scripted = self.fail.get(f"{kind} {verb}", [])
            message = scripted.pop(0) if scripted else ""
        if message:
            return 1, "", message + "\n"
        method = getattr(self, f"_{kind}_{verb}".replace("-", "_"))
        if verb in ("ssh", "scp"):  # They take their time, and run side by side.
            return method(rest, flags)
        try:
            with self._lock:
                return 0, method(rest, flags) or "", ""
        except CloudError as error:
            return 1, "", f"{error}\n"

    # ------------------------------------------------------------------ queued resources

    def _queued_resources_create(self, rest, flags):
        if self.queued:
            raise CloudError("ERROR: ALREADY_EXISTS")
        prefix, count = flags.get("node-prefix"), int(flags.get("node-count", 1))
        nodes = [f"{prefix}-{i}" for i in range(count)] if prefix else [flags["node-id"]]
        accelerator = flags["accelerator-type"]
        self.queued = {"name": rest[0], "accelerator": accelerator, "nodes": nodes}
        self._looks = 0
        self.on_create()
        self.states = self.next_states.pop(0) if self.next_states else ["ACTIVE"]

    def _queued_resources_describe(self, rest, flags):
        if not self.queued or self.queued["name"] != rest[0]:
            raise not_found(f"queuedResources/{rest[0]}")
        state, _, error = self.states[min(self._looks, len(self.states) - 1)].partition(":")
        self._looks += 1
        if state == "ACTIVE" and not self.nodes:
            for name in self.queued["nodes"]:
                self.nodes[name] = "READY"
                for worker in range(HOSTS[self.queued["accelerator"]]):
                    (self.machines / f"{name}-{worker}").mkdir(parents=True, exist_ok=True)
        count = len(self.queued["nodes"])
        # multisliceParams is there only for several.
        fields = [state, self.queued["accelerator"], str(count) if count > 1 else "", error]
        return "|".join(fields) + "\n"

    def _queued_resources_delete(self, rest, flags):
        if not self.queued:
            raise not_found(f"queuedResources/{rest[0]}")
        if self.nodes and "force" not in flags:
            raise CloudError("ERROR: FAILED_PRECONDITION: the queued resource has nodes")
        self.queued = None
        for node in set(self.nodes) - self.sticky:
            self._forget(node)

    # --------------------------------------------------------------------------- machines

    def _forget(self, node):
        del self.nodes[node]
        for folder in self.machines.glob(f"{node}-*"):
            shutil.rmtree(folder)

    def _tpu_vm_describe(self, rest, flags):
        if rest[0] not in self.nodes:
            raise not_found(f"nodes/{rest[0]}")
        return f"{self.nodes[rest[0]]}|{self.address}\n"

    def _tpu_vm_delete(self, rest, flags):
        if rest[0] not in self.nodes:
            raise not_found(f"nodes/{rest[0]}")
        self._forget(rest[0])

    def _reached(self, node, flags):
        """Workers that can be reached, and what gcloud says of the others."""
        hosts = range(HOSTS[self.queued["accelerator"]])
        chosen = hosts if flags["worker"] == "all" else [int(flags["worker"])]
        lost = [each for each in chosen if (node, each) in self.unreachable]
        words = [f"ssh: connect to host {node} worker {each}: timed out\n" for each in lost]
        return [each for each in chosen if each not in lost], "".join(words)

    def _tpu_vm_scp(self, rest, flags):
        source, (node, _, name) = rest[0], rest[1].partition(":")
        workers, err = self._reached(node, flags)
        for worker in workers:
            shutil.copy(source, self.machines / f"{node}-{worker}" / name)
        return 255 if err else 0, "", err

    def _tpu_vm_ssh(self, rest, flags):
        """Runs the command in the folder of each machine, as its home."""
        workers, err = self._reached(rest[0], flags)
        running = []
        for worker in workers:
            home = self.machines / f"{rest[0]}-{worker}"
            chosen = self.before_start_of in ("all", home.name)
            if chosen and "worker.sh start" in flags["command"]:
                self.before_start(home)
            env = {"HOME": str(home), "PATH": f"{self.machine_bin}:/usr/bin:/bin"}
            command = ["/bin/bash", "-c", flags["command"]]
            pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
            pipes["stderr"] = subprocess.PIPE
            env["TPU_WORKER_ID"] = str(worker)
            running.append(subprocess.Popen(command, cwd=home, env=env, text=True, **pipes))
        done = [each.communicate() for each in running]
        code = 255 if err else max((each.returncode for each in running), default=0)
        return code, "".join(out for out, _ in done), err + "".join(each for _, each in done)


def answer(call, stream):
    """Reads one call from a client and writes what it has to print."""

    def word():
        text = b""
        while not text.endswith(b"\0"):
            text += stream.read(1)
        return text[:-1].decode()

    try:
        code, out, err = call([word() for _ in range(int(word()))])
    except Exception as error:  # A mistake of the fake: the script must not take it for an answer.
        code, out, err = 99, "", f"fake gcloud: {error!r}\n"
    stream.write(f"{code}\n{out}\0{err}\0".encode())


def write_program(path: pathlib.Path, text: str) -> None:
    """Writes a file that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
