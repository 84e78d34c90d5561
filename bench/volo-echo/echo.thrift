namespace rs bench

struct Echo {
    1: required i64 id,
    2: required bool flag,
    3: required binary payload,
}

service EchoService {
    Echo echo(1: Echo message),
}
