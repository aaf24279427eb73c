from tests.integration.postgres.raw import *
def test_smoke(plain_gateway, shop_database):
    c=RawClient.connect(plain_gateway.port,user="dora@example.com",password=plain_gateway.token,database="shop-prod")
    print(c.ask(query("select 1")))
    print(c.ask(extended("select $1::int+1", b"4")+SYNC))
    print(c.ask(query("create temp table t(a int)")))
    c.send(query("copy t from stdin")); print(c.until("G")); print(c.ask(copy_data(b"1\n2\n")+COPY_DONE))
    c.send(extended("copy t from stdin")+SYNC); print(c.until("G")); print(c.ask(copy_data(b"1\nx\n")+COPY_DONE+SYNC))
    print(c.ask(query("copy t to stdout")))
    a=RawClient.connect(plain_gateway.port,user="ana@example.com",password=plain_gateway.token,database="shop-prod")
    print(rows(a.ask(query("select id, email, lower(email) from customers limit 2"))))
    print(a.ask(query("select set_config('application_name', email, false) from customers limit 1")))
    print(a.ask(query("delete from customers")))
