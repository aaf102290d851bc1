import io

from explorer.system.terminal import PatientStream


class Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_patient_stream_closed_pipe_falls_silent():
    stream = PatientStream(Closed())
    assert stream.write("hello") == 5
    assert not stream.is_open
    stream.write("again")
    stream.flush()
    assert not stream.isatty()


def test_patient_stream_closed_file_falls_silent():
    wrapped = io.StringIO()
    wrapped.close()
    stream = PatientStream(wrapped)
    stream.write("hello")
    assert not stream.is_open


def test_patient_stream_what_the_encoding_lacks_is_replaced():
    raw = io.BytesIO()
    stream = PatientStream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("5× é")
    stream.flush()
    assert raw.getvalue() == b"5? ?"
